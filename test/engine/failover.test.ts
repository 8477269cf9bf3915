import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseAvailability } from '../../src/api/availability.ts';
import type { Connection, Endpoint } from '../../src/api/types.ts';
import type { EngineDependencies } from '../../src/engine/context.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { LossyLink, linkTo } from '../fakes/link.ts';
import { FakeCluster, World, startEngine, type FakeNode, type RunningEngine } from './world.ts';

let folder: string;
let running: RunningEngine[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'failover-test-'));
  running = [];
});
afterEach(async () => {
  for (const engine of running) await engine.stop();
  rmSync(folder, { recursive: true });
});

/** Cluster west with two gateways, the first of which can lose its power or its network; cluster east with one. */
function stage(how: Partial<EngineDependencies> = {}) {
  const world = new World();
  const add = (cluster: FakeCluster, name: string, ip: string, cni: string): FakeNode => {
    const node = world.addNode(name, ip, cni, path.join(folder, name));
    cluster.addNode(node);
    return node;
  };
  const west = new FakeCluster(world, 'west', '10.131.0.0/16', '100.67.0.0/16');
  const first = add(west, 'west-1', '172.32.0.11', '10.131.1.1');
  const second = add(west, 'west-2', '172.32.0.12', '10.131.2.1');
  const east = new FakeCluster(world, 'east', '10.130.0.0/16', '100.66.0.0/16');
  const remote = add(east, 'east-1', '172.31.0.11', '10.130.1.1');
  let dead = false;
  const link = new LossyLink(west.kube);
  const doomed = startEngine(world, west, first, { client: linkTo(link.client, () => dead), ...how });
  running.push(doomed, startEngine(world, east, remote));
  /** Nothing more comes from it, neither packets nor requests: the lease stays as it is. */
  const cutPower = (): void => {
    dead = true;
    world.dead.add(first.ip);
  };
  /** It lives on and takes itself for the leader. */
  const cutOff = (): void => {
    link.lose();
    world.dead.add(first.ip);
  };
  const reconnect = (): void => {
    world.dead.delete(first.ip);
    link.heal();
  };
  return { world, west, first, second, east, remote, cutPower, cutOff, reconnect };
}

const connection = (cluster: FakeCluster, node: FakeNode): Connection | undefined =>
  cluster.gateway(node)?.status.connections[0];

/** The cable of a node that carries packets for another cluster. */
const carrier = (node: FakeNode): string | undefined => node.cables.find(({ carries }) => carries)?.usingIp;

/** Both gateways of west have cables to east, and east to both; west-1 is active. */
async function warm(
  { world, west, first, second, east, remote }: ReturnType<typeof stage>,
  how: Partial<EngineDependencies> = {},
): Promise<void> {
  await world.until('west-1 is connected', () => connection(east, remote)?.status === 'connected');
  running.push(startEngine(world, west, second, how));
  const ready = (): boolean => parseAvailability(west.gateway(second) ?? { metadata: {} })?.ready === true;
  await world.until('west-2 stands by', () => west.gateway(second)?.status.haStatus === 'passive' && ready());
  expect(remote.cables.map(({ usingIp, slot, carries }) => ({ usingIp, slot, carries }))).toEqual([
    { usingIp: first.ip, slot: 0, carries: true },
    { usingIp: second.ip, slot: 1, carries: false },
  ]);
  expect(west.gateway(second)?.status.connections).toEqual([]);
}

test('a leader that dies with the lease in its hand is replaced within a second: a change of routes', async () => {
  const set = stage();
  const { world, west, first, second, east, remote, cutPower } = set;
  await warm(set);
  const holder = (): string | null | undefined => west.kube.all<Lease>(RESOURCES.leases)[0]?.spec?.holderIdentity;
  expect(holder()).toBe('west-1-submariner-gateway');
  const diedAt = world.clock.now();
  cutPower();
  await world.until('packets of east go to west-2', () => carrier(remote) === second.ip, 1000);
  await world.until('west-2 has the lease', () => holder() === 'west-2-submariner-gateway', 1000);
  const own = (): readonly string[] =>
    west.kube
      .all<Endpoint & KubeObject>(RESOURCES.endpoints)
      .filter(({ spec }) => spec.cluster_id === 'west')
      .map(({ spec }) => spec.hostname);
  await world.until('the nodes of west are told', () => own().join() === 'west-2', 1000);
  expect(world.clock.now() - diedAt).toBeLessThan(1000);
  await world.until('both say connected', () =>
    [connection(west, second), connection(east, remote)].every((one) => one?.status === 'connected'),
  );
  await world.until('east says so', () => connection(east, remote)?.endpoint.hostname === 'west-2', 1000);
  const { lastFailover } = parseAvailability(west.gateway(second)!)!;
  expect(lastFailover).toMatchObject({ from: 'west-1', cause: 'gateway west-1 is silent' });
  expect(lastFailover!.durationMs).toBeLessThan(1000);
  const told = west.kube.all<KubeObject & { reason: string }>(RESOURCES.events).map(({ reason }) => reason);
  expect(told.filter((reason) => reason === 'GatewayActive')).toHaveLength(4);
  await world.until('the dead one’s Gateway is gone', () => west.gateway(first) === undefined);
});

test('a gateway that takes over tells the nodes before it does anything to its cables', async () => {
  const set = stage();
  const { world, west, second, cutPower } = set;
  const seen: string[] = [];
  const slow = new Proxy(west.kube, {
    get: (target, key) => {
      const value = Reflect.get(target, key, target) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const call = (): unknown => (value as (...all: unknown[]) => unknown).apply(target, args);
        if (args[0] !== RESOURCES.endpoints || !['create', 'replace', 'apply', 'patch'].includes(String(key)))
          return call();
        return world.clock.sleep(100).then(() => {
          seen.push('told');
          return call();
        });
      };
    },
  });
  const createDriver: EngineDependencies['createDriver'] = (_at, name) => {
    const driver = world.driver(second, name);
    return {
      ...driver,
      sync: async (desired, signal) => {
        seen.push('cables');
        await driver.sync(desired, signal);
      },
    };
  };
  await warm(set, { client: slow, createDriver });
  const holder = (): string | null | undefined => west.kube.all<Lease>(RESOURCES.leases)[0]?.spec?.holderIdentity;
  cutPower();
  while (holder() === 'west-1-submariner-gateway') {
    seen.length = 0;
    await world.clock.advance(1);
  }
  await world.until(
    'it has told, and looked after its cables',
    () => ['told', 'cables'].every((one) => seen.includes(one)),
    2000,
  );
  expect(seen.indexOf('told')).toBeLessThan(seen.indexOf('cables'));
});

test('fail-over works while the broker is away', async () => {
  const set = stage();
  const { world, west, second, remote, cutPower } = set;
  await warm(set);
  world.broker.down = true;
  await world.clock.advance(5000);
  cutPower();
  await world.until('packets of east go to west-2', () => carrier(remote) === second.ip, 1000);
  await world.until('west-2 is active', () => west.gateway(second)?.status.haStatus === 'active', 2000);
  await world.clock.advance(60_000);
  expect(carrier(remote)).toBe(second.ip);
}, 30_000);

test('a stopping gateway hands over first: the others switch while it still forwards', async () => {
  const set = stage();
  const { world, first, second, remote } = set;
  await warm(set);
  const changes = remote.changes.length;
  await running.shift()!.stop();
  expect(carrier(remote)).toBe(second.ip);
  expect(remote.changes.slice(changes)).toHaveLength(1);
  expect(first.cables.length).toBeGreaterThan(0);
  await world.clock.advance(1000);
  expect(carrier(second)).toBe(remote.ip);
});

test('also to a standby that has only begun: it waits until that hears what it hears', async () => {
  const set = stage();
  const { world, west, first, second, east, remote } = set;
  await world.until('west-1 is connected', () => connection(east, remote)?.status === 'connected');
  running.push(startEngine(world, west, second));
  await world.until('east has a cable to west-2', () => remote.cables.some(({ usingIp }) => usingIp === second.ip));
  expect(parseAvailability(west.gateway(second) ?? { metadata: {} })?.ready).not.toBe(true);
  const changes = remote.changes.length;
  await running.shift()!.stop();
  expect(carrier(remote)).toBe(second.ip);
  expect(remote.changes.slice(changes)).toHaveLength(1);
  expect(first.cables.length).toBeGreaterThan(0);
  const cause = (): string | undefined =>
    parseAvailability(west.gateway(second) ?? { metadata: {} })?.lastFailover?.cause;
  await world.until('west-2 tells why', () => cause() !== undefined);
  expect(cause()).toMatch(/^planned/);
});

test.each([
  ['other nodes still send there', (ms: number, over: boolean) => ({ received: over ? 0 : ms, leadsOut: true })],
  ['its own pods still leave there', (_ms: number, over: boolean) => ({ received: 0, leadsOut: over })],
])('and it stays as long as %s', async (_what, use) => {
  let over = false;
  const set = stage({ overlayUse: () => use(set.world.clock.monotonic(), over) });
  const { world, second, remote } = set;
  await warm(set);
  let ended = false;
  const stopping = running
    .shift()!
    .stop()
    .then(() => (ended = true));
  await world.until('west-2 carries', () => carrier(remote) === second.ip, 2000);
  await world.clock.advance(4000);
  expect(ended).toBe(false);
  over = true;
  await world.clock.advance(800);
  await stopping;
});

test('also to one that has just failed itself: a gateway that goes is no choice, however well it has been', async () => {
  const set = stage();
  const { world, second, remote } = set;
  await warm(set);
  await world.clock.advance(40_000);
  world.dead.add(second.ip);
  await world.clock.advance(1000);
  world.dead.delete(second.ip);
  await world.clock.advance(5000);
  const stoppedMs = world.clock.monotonic();
  await running.shift()!.stop();
  expect(carrier(remote)).toBe(second.ip);
  expect(world.clock.monotonic() - stoppedMs).toBeLessThan(3000);
});

test('a leader that was cut off and comes back does not get in the way of the new one', async () => {
  const set = stage();
  const { world, west, first, second, east, remote, cutOff, reconnect } = set;
  await warm(set);
  cutOff();
  await world.until('west-2 carries the traffic', () => connection(east, remote)?.endpoint.hostname === 'west-2');
  await world.until('it is connected', () => connection(east, remote)?.status === 'connected');
  await world.clock.advance(5000);
  const changes = remote.changes.length;
  const published: string[] = [];
  west.kube.onCall = ({ verb, resource, name }) => {
    if (resource === RESOURCES.endpoints.plural && ['create', 'delete'].includes(verb))
      published.push(`${verb} ${name}`);
    return undefined;
  };
  reconnect();
  await world.until('west-1 steps down', () => west.gateway(first)?.status.haStatus === 'passive');
  await world.clock.advance(10_000);
  expect(published).toEqual([]);
  expect(remote.changes.slice(changes)).toEqual([]);
  expect(west.gateway(second)?.status.haStatus).toBe('active');
}, 30_000);

test('a former leader that was forgotten and comes back gets no packets, though the active one has just failed itself', async () => {
  const set = stage();
  const { world, west, first, second, east, remote, cutOff, reconnect } = set;
  await warm(set);
  cutOff();
  await world.until('west-2 carries the traffic', () => connection(east, remote)?.endpoint.hostname === 'west-2');
  await world.until('east has no cable to west-1', () => remote.cables.length === 1);
  world.dead.add(second.ip);
  await world.clock.advance(1000);
  world.dead.delete(second.ip);
  await world.until('west-2 is connected again', () => connection(east, remote)?.status === 'connected');
  const changes = remote.changes.length;
  reconnect();
  await world.until('west-1 stands by', () => west.gateway(first)?.status.haStatus === 'passive');
  await world.until('east has a cable to it', () => remote.cables.length === 2);
  await world.clock.advance(5000);
  expect(remote.changes.slice(changes)).toEqual([]);
  expect(carrier(remote)).toBe(second.ip);
}, 30_000);
