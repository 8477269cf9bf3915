import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { heldRecord, holderOf } from '../../../src/kube/leaserules.ts';
import { clusterOf, Simulation, type SimulatedGateway } from './simulation.ts';

/** Something that goes wrong for a while, or that an operator does. */
interface Fault {
  readonly kind: (typeof KINDS)[number];
  readonly atMs: number;
  readonly forMs: number;
  /** Which gateway, and which other one. */
  readonly pick: number;
  readonly other: number;
}

const KINDS = [
  'kill',
  'down',
  'pause',
  'wan',
  'wan in',
  'wan out',
  'lan',
  'lan in',
  'dark',
  'cut gateways',
  'cut gateways one way',
  'cut clusters',
  'api of gateway',
  'api of cluster',
  'broker',
  'loss',
  'leave',
  'move',
  'clock',
  'unready',
  'lease deleted',
  'lease taken by a stranger',
] as const;

/** Network faults by kind; each is there for the time of the fault. */
function faultNames(kind: Fault['kind'], name: string, other: string): readonly string[] {
  const [here, there] = [clusterOf(name), clusterOf(other)];
  const names: Partial<Record<Fault['kind'], readonly string[]>> = {
    wan: [`wan in ${name}`, `wan out ${name}`],
    'wan in': [`wan in ${name}`],
    'wan out': [`wan out ${name}`],
    lan: [`lan in ${name}`, `lan out ${name}`],
    'lan in': [`lan in ${name}`],
    dark: [`wan in ${name}`, `wan out ${name}`, `lan in ${name}`, `lan out ${name}`],
    'cut gateways': [`cut ${name} ${other}`, `cut ${other} ${name}`],
    'cut gateways one way': [`cut ${name} ${other}`],
    'cut clusters': [`cut ${here} ${there}`, `cut ${there} ${here}`],
    'api of gateway': [`api ${name}`],
    'api of cluster': [`api ${here}`],
    broker: ['broker'],
  };
  return names[kind] ?? [];
}

function inject(world: Simulation, { kind, forMs, pick, other }: Fault): void {
  const all = [...world.gateways.values()];
  const gateway = all[pick % all.length]!;
  const others = all.filter((one) => one !== gateway);
  const second = others[other % others.length]!;
  const { name } = gateway;
  world.note(`fault: ${kind} ${name} ${second.name} for ${forMs}`);
  const later = (run: () => void): void =>
    world.time.after(forMs, () => {
      world.note(`end: ${kind} ${name} ${second.name}`);
      run();
    });
  const ends = faultNames(kind, name, second.name).map((fault) => world.faults.add(fault));
  if (ends.length > 0) later(() => ends.forEach((end) => end()));
  else single(world, kind, gateway, second, forMs, later);
}

function single(
  world: Simulation,
  kind: Fault['kind'],
  gateway: SimulatedGateway,
  second: SimulatedGateway,
  forMs: number,
  later: (run: () => void) => void,
): void {
  const { name, clusterId } = gateway;
  const server = world.servers.get(clusterId)!;
  if (kind === 'kill' || kind === 'down') {
    const end = kind === 'down' ? world.faults.add(`down ${name}`) : () => undefined;
    gateway.stop();
    later(() => {
      end();
      gateway.start();
    });
  } else if (kind === 'pause') {
    gateway.pause();
    later(() => gateway.resume());
  } else if (kind === 'loss') {
    world.faults.wanLoss = 0.3;
    later(() => (world.faults.wanLoss = 0));
  } else if (kind === 'leave') gateway.leave(forMs);
  else if (kind === 'move') {
    const to = second.clusterId === clusterId ? second.name : name;
    server.write(server.lease.version, { spec: server.lease.spec, moveTo: to });
  } else if (kind === 'clock') gateway.wallOffsetMs += (forMs - 5000) * 1000;
  else if (kind === 'unready') {
    gateway.ready = false;
    later(() => (gateway.ready = true));
  } else if (kind === 'lease deleted') server.write(server.lease.version, { spec: undefined });
  else {
    const { spec, version } = server.lease;
    server.write(version, { spec: heldRecord(spec, 'stranger', Date.UTC(2040, 0, 1), 5000) });
  }
}

function describeState(world: Simulation): string {
  const gateways = [...world.gateways.values()].map(({ name, leader, uses }) => {
    const sent = [...uses].map(([id, to]) => `${id}:${to}`).join(',');
    return `${name}${leader ? '*' : ''}[${sent}]`;
  });
  const leases = [...world.servers].map(([id, { lease }]) => `${id}=${holderOf(lease.spec)}`);
  return `${gateways.join(' ')} ${leases.join(' ')}`;
}

/** What is not as it should be at rest; '' when all agree. */
function disagreement(world: Simulation): string {
  for (const [id, server] of world.servers) {
    const leaders = world.of(id).filter(({ leader }) => leader);
    if (leaders.length !== 1) return `cluster ${id} has ${leaders.length} active gateways`;
    const { name } = leaders[0]!;
    if (holderOf(server.lease.spec) !== name) return `lease of ${id} is not held by ${name}`;
    if (server.announcement?.active !== name) return `Endpoint of ${id} is not of ${name}`;
    for (const gateway of world.gateways.values()) {
      if (gateway.clusterId !== id && gateway.uses.get(id) !== name) return `${gateway.name} does not send to ${name}`;
      if (gateway.clusterId !== id) continue;
      const claiming = gateway.reports().filter((peer) => peer.clusterId === id && peer.active);
      const others = claiming.map(({ cableName }) => cableName).filter((other) => other !== name);
      if (others.length > 0) return `${gateway.name} believes that ${others.join()} is active`;
      if (gateway.name !== name && claiming.length !== 1) return `${gateway.name} does not know that ${name} is active`;
    }
  }
  return '';
}

/** Nobody may be without an active gateway for longer while one could be. */
const LEADERLESS_MS = 10_000;
/** Of two that are active and see the lease, one knows before long that it is no longer. */
const DIVIDED_MS = 5000;

/** Watches the rules that hold at any time. */
class Watcher {
  readonly #world: Simulation;
  readonly #since = new Map<string, number>();

  constructor(world: Simulation) {
    this.#world = world;
  }

  look(): void {
    const { servers } = this.#world;
    for (const id of servers.keys()) {
      const active = this.#world.of(id).filter((one) => one.leader && one.running);
      for (const { name } of this.#world.of(id))
        this.#limit(
          `no active gateway in ${id} though ${name} is well`,
          active.length === 0 && this.#isWell(name),
          LEADERLESS_MS,
        );
      const sighted = active.filter(({ name }) => this.#world.canReachApi(name));
      this.#limit(`two active gateways in ${id}`, sighted.length > 1, DIVIDED_MS);
    }
  }

  #isWell(name: string): boolean {
    const { gateways, faults } = this.#world;
    const gateway = gateways.get(name)!;
    const cut = ['wan in', 'wan out', 'lan in', 'lan out'].some((kind) => faults.has(`${kind} ${name}`));
    return gateway.running && gateway.ready && !gateway.leavingNow && this.#world.canReachApi(name) && !cut;
  }

  #limit(what: string, holds: boolean, limitMs: number): void {
    const { nowMs } = this.#world.time;
    if (!holds) this.#since.delete(what);
    else if (!this.#since.has(what)) this.#since.set(what, nowMs);
    else if (nowMs - this.#since.get(what)! > limitMs) throw new Error(`for more than ${limitMs} ms: ${what}`);
  }
}

function advance(world: Simulation, untilMs: number, watcher: Watcher): void {
  while (world.time.nowMs < untilMs) {
    world.time.runUntil(Math.min(untilMs, world.time.nowMs + 200));
    watcher.look();
  }
}

/** Damping (30 s) and then some. */
const SETTLE_MS = 50_000;

/** Runs the faults; then, within a bound, all must agree and go on doing so. Gives the time that took. */
function survive(sizes: readonly number[], seed: number, faults: readonly Fault[]): number {
  const world = new Simulation(sizes, seed);
  try {
    const watcher = new Watcher(world);
    for (const fault of faults) world.time.after(fault.atMs, () => inject(world, fault));
    const overMs = Math.max(5000, ...faults.map(({ atMs, forMs }) => atMs + forMs));
    advance(world, overMs, watcher);
    let agreedMs: number | undefined;
    while (agreedMs === undefined || world.time.nowMs - agreedMs < 2000) {
      advance(world, world.time.nowMs + 200, watcher);
      const problem = disagreement(world);
      if (problem === '') agreedMs ??= world.time.nowMs;
      else agreedMs = undefined;
      if (world.time.nowMs > overMs + SETTLE_MS) throw new Error(`no agreement after ${SETTLE_MS} ms: ${problem}`);
    }
    return agreedMs - overMs;
  } catch (error) {
    const tail = world.log.slice(-60).join('\n');
    throw new Error(`${(error as Error).message}\n${describeState(world)}\n${tail}`, { cause: error });
  }
}

const faults: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom(...KINDS),
  atMs: fc.integer({ min: 2, max: 25 }).map((s) => s * 1000),
  forMs: fc.constantFrom(200, 700, 1500, 4000, 8000, 15_000),
  pick: fc.nat(8),
  other: fc.nat(8),
});

const sizes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 3 });

/** The simulation after `beforeMs`, when everything is at rest. */
function atRest(sizes: readonly number[], seed = 1, beforeMs = 40_000): Simulation {
  const world = new Simulation(sizes, seed);
  world.time.runUntil(beforeMs);
  expect(disagreement(world)).toBe('');
  return world;
}

function takeovers(world: Simulation): number {
  return [...world.servers.values()].reduce((sum, { holders }) => sum + holders.length, 0);
}

function switches(world: Simulation): number {
  return [...world.gateways.values()].reduce((sum, gateway) => sum + gateway.switches, 0);
}

function activeOf(world: Simulation, id: string): string | undefined {
  return world.of(id).find((one) => one.leader && one.running)?.name;
}

/** Milliseconds from now until the condition holds; undefined when it does not within `limitMs`. */
function timeUntil(world: Simulation, limitMs: number, holds: () => boolean): number | undefined {
  const startMs = world.time.nowMs;
  while (world.time.nowMs - startMs <= limitMs) {
    if (holds()) return world.time.nowMs - startMs;
    world.time.runUntil(world.time.nowMs + 10);
  }
  return undefined;
}

/** Every gateway of another cluster sends to `name`. */
function allUse(world: Simulation, name: string): boolean {
  const id = clusterOf(name);
  return [...world.gateways.values()].every((one) => one.clusterId === id || one.uses.get(id) === name);
}

describe('gateways of a ClusterSet', () => {
  test('whatever fails: are never without an active one for long, and agree when it is over', () => {
    fc.assert(
      fc.property(
        sizes,
        fc.integer(),
        fc.array(faults, { maxLength: 8 }),
        (sizes, seed, list) => void survive(sizes, seed, list),
      ),
      { seed: Number(process.env['HA_SEED'] ?? 7), numRuns: Number(process.env['HA_RUNS'] ?? 60) },
    );
  }, 600_000);

  test('do not switch without a cause', () => {
    fc.assert(
      fc.property(sizes, fc.integer(), fc.constantFrom(0, 0.02), (sizes, seed, loss) => {
        const world = new Simulation(sizes, seed);
        world.faults.wanLoss = loss;
        world.time.runUntil(60_000);
        expect([takeovers(world), switches(world), disagreement(world)]).toEqual([sizes.length, 0, '']);
      }),
      { seed: 7, numRuns: 10 },
    );
  }, 60_000);

  test('seldom switch while 30 % of the packets between clusters get lost', () => {
    for (const seed of [1, 2]) {
      const world = atRest([2, 2, 2], seed);
      world.faults.wanLoss = 0.3;
      world.time.runUntil(10 * 60_000);
      expect(takeovers(world)).toBeLessThanOrEqual(4);
      expect(switches(world)).toBeLessThanOrEqual(8);
    }
  }, 60_000);

  test.each<[what: string, faults: readonly string[], takeoverMs: number, usedMs: number]>([
    ['dies', ['down a1'], 900, 800],
    ['is cut off from everybody', ['wan in a1', 'wan out a1', 'lan in a1', 'lan out a1'], 1200, 1500],
    ['is cut off from other clusters', ['wan in a1', 'wan out a1'], 1300, 800],
    ['hears no other cluster', ['wan in a1'], 1300, 1500],
    ['is not heard by other clusters', ['wan out a1'], 1300, 1500],
  ])('replace an active one that %s', (_, lasting, takeoverMs, usedMs) => {
    for (const seed of [1, 2, 3, 4]) {
      const world = atRest([2, 2, 2], seed);
      const failed = activeOf(world, 'a')!;
      const other = failed === 'a1' ? 'a2' : 'a1';
      for (const fault of lasting) world.faults.add(fault.replaceAll('a1', failed));
      if (lasting[0]?.startsWith('down') === true) world.gateways.get(failed)?.stop();
      expect(timeUntil(world, usedMs, () => allUse(world, other))).toBeDefined();
      expect(timeUntil(world, takeoverMs, () => world.gateways.get(other)?.leader === true)).toBeDefined();
      expect(timeUntil(world, 1000, () => world.gateways.get(failed)?.leader === false)).toBeDefined();
      const before = takeovers(world);
      world.time.runUntil(world.time.nowMs + 120_000);
      expect([activeOf(world, 'a'), takeovers(world), allUse(world, other)]).toEqual([other, before, true]);
    }
  });

  test.each<[what: string, sizes: readonly number[], lasting: readonly string[]]>([
    ['two clusters are cut off from each other', [2, 2, 2], ['cut a b', 'cut b a']],
    ['the only other cluster is cut off', [2, 2], ['cut a b', 'cut b a']],
    ['the broker is away', [2, 2, 2], ['broker']],
    ['an API server is away', [2, 2, 2], ['api a']],
    ['all API servers and the broker are away', [2, 2, 2], ['api a', 'api b', 'api c', 'broker']],
    ['a standby hears nobody', [2, 2, 2], ['wan in STANDBY', 'lan in STANDBY']],
    ['a standby is dark', [2, 2, 2], ['wan in STANDBY', 'lan in STANDBY', 'wan out STANDBY', 'lan out STANDBY']],
    ['a standby cannot see the API server', [2, 2, 2], ['api STANDBY']],
    ['an only gateway hears nobody', [1, 2], ['wan in a1', 'wan out a1']],
  ])('leave the active one alone while %s', (_, sizes, lasting) => {
    const world = atRest(sizes, 3);
    const active = activeOf(world, 'a')!;
    const before = takeovers(world);
    for (const fault of lasting) world.faults.add(fault.replace('STANDBY', active === 'a1' ? 'a2' : 'a1'));
    world.time.runUntil(world.time.nowMs + 120_000);
    expect([activeOf(world, 'a'), takeovers(world)]).toEqual([active, before]);
  });

  test('change once, not to and fro, while the two of a cluster cannot hear each other', () => {
    const world = atRest([2, 2, 2]);
    const before = takeovers(world);
    world.faults.add('cut a1 a2');
    world.faults.add('cut a2 a1');
    world.time.runUntil(world.time.nowMs + 300_000);
    expect(takeovers(world)).toBeLessThanOrEqual(before + 1);
    expect(world.of('a').filter(({ leader }) => leader)).toHaveLength(1);
  });

  test.each([300, 450])('bear a pause of %i ms', (ms) => {
    const world = atRest([2, 2, 2]);
    const before = takeovers(world);
    for (let round = 0; round < 5; round += 1) {
      for (const gateway of world.gateways.values()) {
        gateway.pause();
        world.time.after(ms, () => gateway.resume());
        world.time.runUntil(world.time.nowMs + 2000);
      }
    }
    expect(takeovers(world)).toBe(before);
  });

  test('who sleeps blames nobody, and has been replaced when it wakes', () => {
    const world = atRest([2, 2, 2]);
    const sleeper = world.gateways.get(activeOf(world, 'a')!)!;
    const before = switches(world);
    sleeper.pause();
    world.time.runUntil(world.time.nowMs + 10_000);
    sleeper.resume();
    world.time.runUntil(world.time.nowMs + 1000);
    expect(sleeper.leader).toBe(false);
    expect(sleeper.switches).toBe(0);
    expect(switches(world) - before).toBe(4);
    world.time.runUntil(world.time.nowMs + 60_000);
    expect(disagreement(world)).toBe('');
  });

  test('hand over when one stops: the successor is active and used before the other ends', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const world = atRest([2, 2, 2], seed);
      const leaver = activeOf(world, 'a')!;
      const other = leaver === 'a1' ? 'a2' : 'a1';
      world.gateways.get(leaver)!.leave(60_000);
      const endedMs = timeUntil(world, 10_000, () => !world.gateways.get(leaver)!.running);
      expect(endedMs).toBeLessThan(1500);
      expect([activeOf(world, 'a'), allUse(world, other)]).toEqual([other, true]);
      expect(world.log.at(-1)).toContain('everybody has switched');
    }
  });

  test('replace an active one that dies also where there is no other cluster to ask', () => {
    const world = atRest([2]);
    const failed = activeOf(world, 'a')!;
    world.faults.add(`down ${failed}`);
    world.gateways.get(failed)!.stop();
    expect(timeUntil(world, 900, () => activeOf(world, 'a') !== undefined)).toBeDefined();
  });

  test('replace an active one that cannot see the API server, which hears of it and steps down', () => {
    const world = atRest([2, 2, 2]);
    const former = activeOf(world, 'a')!;
    world.faults.add(`api ${former}`);
    expect(timeUntil(world, 8000, () => activeOf(world, 'a') !== former)).toBeDefined();
    world.time.runUntil(world.time.nowMs + 2000);
    expect(world.of('a').filter(({ leader }) => leader)).toHaveLength(1);
    expect(allUse(world, activeOf(world, 'a')!)).toBe(true);
  });

  test('of three: the next one in line follows, also when two die at once', () => {
    const world = atRest([3, 2]);
    const active = activeOf(world, 'a')!;
    const dead = [
      active,
      world
        .of('a')
        .map(({ name }) => name)
        .find((name) => name !== active)!,
    ];
    for (const name of dead) {
      world.faults.add(`down ${name}`);
      world.gateways.get(name)!.stop();
    }
    expect(timeUntil(world, 8000, () => activeOf(world, 'a') !== undefined)).toBeDefined();
    world.time.runUntil(world.time.nowMs + 40_000);
    expect(allUse(world, activeOf(world, 'a')!)).toBe(true);
  });
});
