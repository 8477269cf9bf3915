import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { describeOutcome, perform } from '../../test/faults/perform.ts';
import { SCENARIOS, type Scenario } from '../../test/faults/scenarios.ts';
import { DRIVERS, FaultWorld, type Driver } from '../../test/faults/world.ts';
import { renderKinds, runOf, summarise, type Kind, type Run } from './results.ts';

const OUT = 'bench/out/failover.json';
/** Kinds that are measured unless others are named. */
const USUAL = [
  'drain',
  'engine-kill',
  'charon-kill',
  'wireguard-go-kill',
  'node-kill',
  'blackhole',
  'blackhole-in',
  'blackhole-out',
  'blackhole-tunnels',
];
/** What lasts a while in a test lasts so long here. */
const LASTS_MS = 6000;

const { values: flags } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    runs: { type: 'string' },
    driver: { type: 'string', multiple: true, default: [...DRIVERS] },
    kind: { type: 'string', multiple: true, default: USUAL },
    verbose: { type: 'boolean', default: false },
  },
});
const split = (texts: readonly string[]): readonly string[] => texts.flatMap((text) => text.split(','));
const runs = Number(flags.runs ?? (flags.full ? 100 : 30));
const drivers = DRIVERS.filter((driver) => split(flags.driver).includes(driver));
const scenarios = SCENARIOS.filter(({ name }) => split(flags.kind).includes(name));
const known: readonly string[] = [...DRIVERS, ...SCENARIOS.map(({ name }) => name)];
const unknown = [...split(flags.driver), ...split(flags.kind)].filter((word) => !known.includes(word));
if (unknown.length > 0 || !Number.isInteger(runs) || runs < 1) {
  console.error(`not known: ${unknown.join(', ') || flags.runs}; drivers and kinds are: ${known.join(', ')}`);
  process.exit(2);
}

/** The world there is now, so that it is removed whatever happens. */
let world: FaultWorld | undefined;
const interruption = new AbortController();
const interrupt = (why: string, exitCode: number): void => {
  if (interruption.signal.aborted) return;
  interruption.abort();
  console.error(`${why}: cleaning up`);
  void (world?.down() ?? Promise.resolve()).finally(() => process.exit(exitCode));
};
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt(name, 130));
process.on('uncaughtException', (error) => interrupt(error.stack ?? error.message, 1));

const machine = {
  cpus: os.cpus().length,
  model: os.cpus()[0]?.model,
  memoryGib: Math.round(os.totalmem() / 1024 ** 3),
  kernel: os.release(),
  node: process.version,
};
const kinds: Kind[] = [];
const loads: number[] = [];

function write(): void {
  mkdirSync('bench/out', { recursive: true });
  const load = { first: loads[0] ?? 0, most: Math.max(0, ...loads) };
  const results = kinds.map(summarise);
  writeFileSync(OUT, `${JSON.stringify({ machine, at: new Date().toISOString(), load, results }, null, 2)}\n`);
}

async function attempt(driver: Driver, scenario: Scenario): Promise<Run | string> {
  try {
    if (world === undefined) {
      world = new FaultWorld(driver);
      await world.start();
    }
    await world.wellFor(scenario.wellForMs ?? 0);
    const outcome = await perform(world, scenario, scenario.lastsMs === undefined ? {} : { lastsMs: LASTS_MS });
    if (flags.verbose) console.error(describeOutcome(outcome));
    return runOf(outcome);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (interruption.signal.aborted) return why;
    if (flags.verbose) console.error(await world?.describe());
    await world?.down();
    world = undefined;
    return why;
  }
}

async function measure(driver: Driver, scenario: Scenario): Promise<void> {
  const at = kinds.length;
  for (let done = 0; done < runs && !interruption.signal.aborted; done += 1) {
    const result = await attempt(driver, scenario);
    const before = kinds[at] ?? { kind: scenario.name, driver, runs: [], failures: [] };
    kinds[at] =
      typeof result === 'string'
        ? { ...before, failures: [...before.failures, result] }
        : { ...before, runs: [...before.runs, result] };
    loads.push(os.loadavg()[0] ?? 0);
    const told =
      typeof result === 'string' ? result.split('\n')[0] : `${result.lostMs} ms, ${result.lostPackets} packets`;
    console.error(`${driver} ${scenario.name} ${done + 1}/${runs}: ${told}`);
    write();
  }
}

for (const driver of drivers) {
  for (const scenario of scenarios.filter((one) => one.drivers?.includes(driver) ?? true)) {
    if (!interruption.signal.aborted) await measure(driver, scenario);
  }
  if (!interruption.signal.aborted) await world?.down();
  world = undefined;
}
if (!interruption.signal.aborted) {
  console.log(`\n${renderKinds(kinds)}\n\nJSON: ${OUT}`);
  process.exitCode = kinds.some(({ failures }) => failures.length > 0) ? 1 : 0;
}
