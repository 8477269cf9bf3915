import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Connection, Endpoint } from '../../src/api/types.ts';
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
function stage() {
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
  const doomed = startEngine(world, west, first, { client: linkTo(link.client, () => dead) });
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

test('when the leader dies with the lease in its hand, the other gateway has the traffic once the lease ran out', async () => {
  const { world, west, first, second, east, remote, cutPower } = stage();
  await world.until('west-1 is connected', () => connection(east, remote)?.status === 'connected');
  running.push(startEngine(world, west, second));
  await world.until('west-2 stands by', () => west.gateway(second)?.status.haStatus === 'passive');
  const diedAt = world.clock.now();
  cutPower();
  const holder = (): string | null | undefined => west.kube.all<Lease>(RESOURCES.leases)[0]?.spec?.holderIdentity;
  await world.clock.advance(3500);
  expect(holder()).toBe('west-1-submariner-gateway');
  expect(second.cables).toEqual([]);
  await world.until('west-2 has the lease', () => holder() === 'west-2-submariner-gateway', 2000);
  await world.until('both ends have the new cable', () => {
    const [there, here] = [remote.cables[0], second.cables[0]];
    return there?.usingIp === second.ip && here?.usingIp === remote.ip && world.carries(second, here);
  });
  expect(world.clock.now() - diedAt).toBeLessThan(6500);
  await world.until('both say connected', () =>
    [connection(west, second), connection(east, remote)].every((one) => one?.status === 'connected'),
  );
  expect(connection(east, remote)!.endpoint.hostname).toBe('west-2');
  expect(world.clock.now() - diedAt).toBeLessThan(8000);
  const own = west.kube
    .all<Endpoint & KubeObject>(RESOURCES.endpoints)
    .filter(({ spec }) => spec.cluster_id === 'west')
    .map(({ spec }) => spec.hostname);
  expect(own).toEqual(['west-2']);
  await world.until('the dead one’s Gateway is gone', () => west.gateway(first) === undefined);
});

test('a leader that was cut off and comes back does not get in the way of the new one', async () => {
  const { world, west, first, second, east, remote, cutOff, reconnect } = stage();
  await world.until('west-1 is connected', () => connection(east, remote)?.status === 'connected');
  running.push(startEngine(world, west, second));
  await world.until('west-2 stands by', () => west.gateway(second)?.status.haStatus === 'passive');
  cutOff();
  await world.until('west-2 carries the traffic', () => connection(east, remote)?.endpoint.hostname === 'west-2');
  await world.until('it is connected', () => connection(east, remote)?.status === 'connected');
  await world.clock.advance(20_000);
  const changes = remote.changes.length;
  const published: string[] = [];
  west.kube.onCall = ({ verb, resource, name }) => {
    if (resource === RESOURCES.endpoints.plural && ['create', 'replace', 'delete'].includes(verb))
      published.push(`${verb} ${name}`);
    return undefined;
  };
  reconnect();
  await world.until('west-1 steps down', () => first.cables.length === 0);
  await world.clock.advance(10_000);
  expect(published).toEqual([]);
  expect(remote.changes.slice(changes)).toEqual([]);
  expect(west.gateway(second)?.status.haStatus).toBe('active');
});
