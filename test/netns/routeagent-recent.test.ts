import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CommandError, createRunner, type CommandRunner } from '../../src/host/command.ts';
import { watchNetwork } from '../../src/host/monitor.ts';
import { observeNetwork } from '../../src/host/network.ts';
import { RecentLooks } from '../../src/host/recent.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../src/net/ownership.ts';
import { describePlan } from '../../src/net/plan.ts';
import type { NetworkState } from '../../src/net/state.ts';
import { RELEVANT } from '../../src/routeagent/relevant.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { EAST_GATEWAY, WEST, endpoint, eventually, stage, type Stage } from '../routeagent/stage.ts';
import { isLook } from './looks.ts';
import { Namespaces } from './namespaces.ts';

const SIGNAL = new AbortController().signal;
const MAX_AGE_MS = 20_000;
const THIRD = endpoint('north', 'north-1', '172.33.0.11', ['100.68.0.0/16', '10.132.0.0/16']);

let spaces: Namespaces;
let stops: (() => Promise<void>)[];

/** A route agent on a node whose kernel is watched, as the daemon has it. */
interface Watched {
  readonly at: Stage;
  readonly runner: CommandRunner;
  /** Ages what was seen. */
  readonly clock: FakeClock;
  readonly counts: { looks: number; writes: number; reports: number };
  /** Programs that were asked, in their order. */
  readonly asked: string[];
  /** The n-th write from now on fails, nothing of it happens. */
  failWrite(n: number): void;
}

function watched(short: string, k: number): Watched {
  spaces.add(short);
  spaces.ip(
    short,
    `link add eth0 type veth peer name peer0
     addr add 172.31.0.${10 + k}/24 dev eth0
     link set eth0 up
     link set peer0 up
     link add cni0 type bridge
     addr add 10.130.${k}.1/24 dev cni0
     link set cni0 up
     route add default via 172.31.0.1 dev eth0`,
  );
  const clock = new FakeClock();
  const recent = new RecentLooks({ maxAgeMs: MAX_AGE_MS, clock });
  const inner = createRunner({ logger: silentLogger, namespace: spaces.name(short), recent });
  const counts = { looks: 0, writes: 0, reports: 0 };
  const asked: string[] = [];
  let failing = 0;
  const run: CommandRunner['run'] = async (file, args, options) => {
    if (isLook(file, args, options)) {
      counts.looks += 1;
      asked.push(file);
    } else {
      counts.writes += 1;
      if (counts.writes === failing)
        throw new CommandError(file, args, { exitCode: 1, stdout: '', stderr: 'made to fail\n' });
    }
    return inner.run(file, args, options);
  };
  const stop = new AbortController();
  const report = (): void => void (counts.reports += 1);
  const dependencies = { logger: silentLogger, namespace: spaces.name(short), recent };
  const watching = watchNetwork(dependencies, RELEVANT, report, stop.signal);
  stops.push(async () => {
    stop.abort();
    await watching;
  });
  const runner = { ...inner, run };
  return {
    at: stage(runner, k),
    runner,
    clock,
    counts,
    asked,
    failWrite: (n) => (failing = n === 0 ? 0 : counts.writes + n),
  };
}

async function plan({ at }: Watched): Promise<readonly string[]> {
  const text = describePlan(await at.daemon.reconcile(SIGNAL));
  return text === '' ? [] : text.split('\n');
}

/** Reconciles until nothing is left to do and the last look serves. */
async function untilRemembered(node: Watched): Promise<void> {
  const end = performance.now() + 20_000;
  for (;;) {
    const before = node.counts.looks;
    const left = await plan(node);
    if (left.length === 0 && node.counts.looks === before) return;
    if (performance.now() > end) throw new Error('every look is still a real one');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Reconciles until a look is a real one. */
async function untilLooking(node: Watched): Promise<void> {
  const { looks } = node.counts;
  const end = performance.now() + 5000;
  while (node.counts.looks === looks) {
    if (performance.now() > end) throw new Error('what was seen last still serves');
    await plan(node);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The process that watches with this program. */
function monitorOf(short: string, program: string): number {
  const pids = execFileSync('ip', ['netns', 'pids', spaces.name(short)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/);
  const words = (pid: string): readonly string[] => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const found = pids.find((pid) => words(pid)[0] === program && words(pid).includes('monitor'));
  if (found === undefined) throw new Error(`${program} is not watching`);
  return Number(found);
}

/** What is left to do for one that has seen nothing before. */
async function leftToDo(short: string, k: number, endpoints: readonly (typeof WEST)[]): Promise<readonly string[]> {
  const fresh = stage(spaces.runner(short), k);
  fresh.endpoints.set(endpoints);
  const text = describePlan(await fresh.daemon.reconcile(SIGNAL));
  return text === '' ? [] : text.split('\n');
}

beforeEach(() => {
  spaces = new Namespaces();
  stops = [];
});

afterEach(async () => {
  for (const stop of stops) await stop();
  spaces.remove();
});

describe('what was seen last', () => {
  test.each([
    ['worker', 2],
    ['gateway', 1],
  ])('serves on a %s as long as the kernel reports nothing, and is dropped by our own change', async (_role, k) => {
    const node = watched('n', k);
    await untilRemembered(node);
    const { looks } = node.counts;
    node.at.endpoints.set([EAST_GATEWAY, WEST, THIRD]);
    expect(await plan(node)).toHaveLength(4);
    expect(node.counts.looks).toBe(looks);
    expect(await plan(node)).toEqual([]);
    expect(node.counts.looks).toBeGreaterThan(looks);
    expect(await leftToDo('n', k, [EAST_GATEWAY, WEST, THIRD])).toEqual([]);
  });

  test.each([
    ['ip link del vx-submariner', /\+ link vx-submariner/],
    ['ip link set vx-submariner mtu 1300', /~ link vx-submariner/],
    ['ip addr flush dev vx-submariner', /\+ address 240/],
    ['ip route del 10.131.0.0/16', /^\+ route 10.131.0.0\/16/],
    ['ip route add 10.5.0.0/16 dev cni0 proto 154', /^- route 10.5.0.0\/16/],
    ['ip rule add pref 150 lookup 150', /^- rule pref 150/],
    ['nft flush ruleset', /\+ nft table/],
    ['sysctl -w net.ipv4.conf.vx-submariner.rp_filter=1', /rp_filter=2 \(was 1\)/],
  ])('%s between two looks is reported and repaired', async (command, expected) => {
    const node = watched('n', 2);
    await untilRemembered(node);
    const { reports } = node.counts;
    spaces.sh('n', command);
    await eventually(() => node.counts.reports > reports, 'a report');
    expect((await plan(node)).join('\n')).toMatch(expected);
    await untilRemembered(node);
    expect(await leftToDo('n', 2, [EAST_GATEWAY, WEST])).toEqual([]);
  });

  test('serves for the overlay of an owner that does not name it beforehand, too', async () => {
    const node = watched('n', 2);
    await untilRemembered(node);
    const owner = { ...ROUTEAGENT_OWNERSHIP, overlays: [] };
    const look = (): Promise<NetworkState> => observeNetwork(node.runner, owner, { sysctls: [] });
    const before = await look();
    expect(before.neighbours).not.toEqual([]);
    const { looks } = node.counts;
    expect(await look()).toEqual(before);
    expect(node.counts.looks).toBe(looks);
  });

  test('a change of an object of others that ours depend on is seen, though it asks for nothing by itself', async () => {
    const node = watched('n', 2);
    await untilRemembered(node);
    spaces.sh('n', 'ip route add 10.130.7.0/24 via 172.31.0.9 dev eth0');
    await untilLooking(node);
  });

  test.each([
    ['ip route add 10.130.7.0/24 via 172.31.0.9 dev eth0', ['ip']],
    ['ip route add unreachable 10.130.8.0/24', ['ip']],
    ['ip rule add pref 77 lookup 77', ['ip']],
    ['ip link add veth7 type veth peer name peer7', ['bridge', 'ip']],
    ['ip addr add 10.9.0.1/24 dev eth0', ['bridge', 'ip']],
    ['nft add table inet others; nft delete table inet others', ['nft']],
  ])('after %s only what that may have changed is looked at anew', async (command, expected) => {
    const node = watched('n', 2);
    await untilRemembered(node);
    node.asked.length = 0;
    spaces.sh('n', command);
    await untilLooking(node);
    await untilRemembered(node);
    expect([...new Set(node.asked)].toSorted()).toEqual(expected);
  });

  test.each([
    ['bridge fdb del 00:00:00:00:00:00 dev vx-submariner dst 172.31.0.11', /^\+ fdb/],
    ['nft delete element inet submariner-routeagent remote { 10.131.0.0/16 }', /^\+ nft set/],
    ['nft insert rule inet submariner-routeagent segments drop', /~ nft table/],
  ])('%s is not reported: repaired once what was seen is too old', async (command, expected) => {
    const node = watched('n', 2);
    await untilRemembered(node);
    spaces.sh('n', command);
    await node.clock.advance(MAX_AGE_MS);
    expect((await plan(node)).join('\n')).toMatch(expected);
    expect(await leftToDo('n', 2, [EAST_GATEWAY, WEST])).toEqual([]);
  });

  test.each(['ip', 'nft'])(
    'when %s, which reports, is killed, every look is a real one until it listens again',
    async (program) => {
      const node = watched('n', 2);
      await untilRemembered(node);
      process.kill(monitorOf('n', program), 'SIGKILL');
      await untilLooking(node);
      for (let turn = 0; turn < 3; turn += 1) {
        spaces.sh('n', 'bridge fdb del 00:00:00:00:00:00 dev vx-submariner dst 172.31.0.11');
        expect((await plan(node)).join('\n')).toMatch(/^\+ fdb/);
      }
      await untilRemembered(node);
    },
    30_000,
  );

  test('failure sweep: whichever command fails, it converges', async () => {
    const changed = [EAST_GATEWAY, THIRD];
    const stepped = async (n: number): Promise<number> => {
      const node = watched(`n${n}`, 2);
      await untilRemembered(node);
      const { writes } = node.counts;
      node.failWrite(n);
      node.at.endpoints.set(changed);
      if (n > 0) await expect(plan(node)).rejects.toThrow('made to fail');
      await untilRemembered(node);
      expect(await leftToDo(`n${n}`, 2, changed)).toEqual([]);
      return node.counts.writes - writes;
    };
    const writes = await stepped(0);
    expect(writes).toBeGreaterThanOrEqual(2);
    for (let n = 1; n <= writes; n += 1) await stepped(n);
  }, 60_000);
});
