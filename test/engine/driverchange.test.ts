import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parsePendingChange, type PendingChange } from '../../src/api/driverchange.ts';
import type { EndpointSpec } from '../../src/api/types.ts';
import type { CableDriverName, EngineConfig } from '../../src/engine/config.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { BROKER, FakeCluster, World, engineConfig, startEngine, type FakeNode, type RunningEngine } from './world.ts';

let folder: string;
let running: Map<string, RunningEngine>;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'driverchange-test-'));
  running = new Map();
});
afterEach(async () => {
  for (const engine of running.values()) await engine.stop();
  rmSync(folder, { recursive: true });
});

interface Place {
  readonly cluster: FakeCluster;
  readonly node: FakeNode;
}

/** Cluster east with two gateways, west and north with one; all use VXLAN. */
class Stage {
  readonly world = new World();
  readonly places = new Map<string, Place>();

  constructor() {
    const { world } = this;
    const east = new FakeCluster(world, 'east', '10.130.0.0/16', '100.66.0.0/16');
    const west = new FakeCluster(world, 'west', '10.131.0.0/16', '100.67.0.0/16');
    const north = new FakeCluster(world, 'north', '10.132.0.0/16', '100.68.0.0/16');
    this.#add(east, 'east-1', '172.31.0.11', '10.130.1.1');
    this.#add(east, 'east-2', '172.31.0.12', '10.130.2.1');
    this.#add(west, 'west-1', '172.32.0.11', '10.131.1.1');
    this.#add(north, 'north-1', '172.33.0.11', '10.132.1.1');
  }

  #add(cluster: FakeCluster, name: string, ip: string, cni: string): void {
    const node = this.world.addNode(name, ip, cni, path.join(folder, name));
    cluster.addNode(node);
    this.places.set(name, { cluster, node });
  }

  place(name: string): Place {
    const place = this.places.get(name);
    if (place === undefined) throw new Error(`there is no ${name}`);
    return place;
  }

  start(name: string, over: Partial<EngineConfig> = {}): void {
    const { cluster, node } = this.place(name);
    running.set(name, startEngine(this.world, cluster, node, { config: engineConfig(cluster, node, over) }));
  }

  /** A new pod in place of the one that runs. */
  async restart(name: string, cableDriver: CableDriverName, over: Partial<EngineConfig> = {}): Promise<void> {
    await running.get(name)?.stop();
    this.start(name, { cableDriver, ...over });
    await this.world.until(`${name} is back`, () => this.status(name) !== undefined);
  }

  status(name: string) {
    const { cluster, node } = this.place(name);
    return cluster.gateway(node);
  }

  pending(name: string): PendingChange | undefined {
    return parsePendingChange(this.status(name)?.metadata ?? {});
  }

  get drivers(): readonly string[] {
    return [...this.places].map(([name, { node }]) => `${name} ${node.driver}`);
  }

  connected(name: string, count = 2): boolean {
    const connections = this.status(name)?.status.connections ?? [];
    return connections.length === count && connections.every(({ status }) => status === 'connected');
  }

  holders(): readonly (string | undefined)[] {
    return ['east-1', 'west-1', 'north-1'].map((name) => {
      const [lease] = this.place(name).cluster.kube.all<Lease & KubeObject>(RESOURCES.leases);
      return `${lease?.spec?.holderIdentity} ${lease?.spec?.leaseTransitions}`;
    });
  }
}

async function connectedStage(): Promise<Stage> {
  const stage = new Stage();
  for (const name of ['east-1', 'west-1', 'north-1']) stage.start(name);
  await stage.world.until('all are connected', () =>
    ['east-1', 'west-1', 'north-1'].every((one) => stage.connected(one)),
  );
  stage.start('east-2');
  await stage.world.until('east-2 stands by', () => stage.place('east-2').node.cables.length === 2);
  return stage;
}

const all = (driver: string): readonly string[] =>
  ['east-1', 'east-2', 'west-1', 'north-1'].map((name) => `${name} ${driver}`);

test('three clusters change in one moment, when the last of them wants to, and nobody takes over', async () => {
  const stage = await connectedStage();
  const { world } = stage;
  await stage.restart('east-2', 'wireguard');
  await world.until('east-2 waits for its own cluster', () => stage.pending('east-2')?.gateways.join() === 'east-1');
  await stage.restart('east-1', 'wireguard');
  const active = (): string => (stage.status('east-1')?.status.haStatus === 'active' ? 'east-1' : 'east-2');
  await world.until('east announces', () => stage.pending(active())?.announced === true);
  expect(stage.pending(active())).toMatchObject({ from: 'vxlan', to: 'wireguard', clusters: ['north', 'west'] });
  await stage.restart('west-1', 'wireguard');
  await world.until('only north is awaited', () => stage.pending('west-1')?.clusters.join() === 'north');
  await world.clock.advance(30_000);
  expect(stage.drivers).toEqual(all('vxlan'));
  await world.until('all are connected', () => [active(), 'west-1', 'north-1'].every((one) => stage.connected(one)));
  // Upstream's peers see nothing of it.
  for (const { spec } of world.broker.all<KubeObject & { readonly spec: EndpointSpec }>(RESOURCES.endpoints))
    expect(Object.keys(spec.backend_config ?? {}).filter((key) => key.startsWith('next-'))).toEqual([]);
  const holders = stage.holders();
  await stage.restart('north-1', 'wireguard');
  const [eastHolder, westHolder] = holders;
  await world.until('all have changed', () => stage.drivers.join() === all('wireguard').join());
  const times = [...stage.places.values()].map(({ node }) => node.drivers.at(-1)?.ms ?? 0);
  expect(Math.max(...times) - Math.min(...times)).toBeLessThan(500);
  await world.until(
    'all are connected',
    () => [active(), 'west-1', 'north-1'].every((one) => stage.connected(one)),
    5000,
  );
  await world.clock.advance(15_000);
  expect(stage.holders().slice(0, 2)).toEqual([eastHolder, westHolder]);
  const { cables } = stage.place('west-1').node;
  const keys = new Set(cables.map(({ remoteConfig }) => remoteConfig['key-wireguard']));
  expect(keys).toEqual(new Set(['east-1', 'east-2', 'north-1']));
  expect(stage.pending('north-1')).toBeUndefined();
}, 60_000);

test('joined with the former driver again, a cluster takes back what it announced', async () => {
  const stage = await connectedStage();
  const { world } = stage;
  await stage.restart('west-1', 'wireguard');
  await world.until('west announces', () => stage.pending('west-1')?.announced === true);
  await stage.restart('west-1', 'vxlan');
  await world.until('nothing is pending', () => stage.pending('west-1') === undefined && stage.connected('west-1'));
  await stage.restart('north-1', 'wireguard');
  await world.until('north waits', () => stage.pending('north-1')?.announced === true);
  expect(stage.pending('north-1')?.clusters).toEqual(['east', 'west']);
  await world.clock.advance(20_000);
  expect(stage.drivers).toEqual(all('vxlan'));
}, 60_000);

test('a cluster that leaves is not waited for any longer, and one run by another program changes first', async () => {
  const stage = await connectedStage();
  const { world } = stage;
  for (const name of ['east-1', 'east-2']) {
    await running.get(name)?.stop();
    running.delete(name);
  }
  const endpoints = () => world.broker.all<KubeObject & { readonly spec: EndpointSpec }>(RESOURCES.endpoints);
  const ofEast = endpoints().find(({ spec }) => spec.cluster_id === 'east')!;
  const foreign = (backend: string): void => {
    const { metadata, spec } = ofEast;
    world.broker.drop(RESOURCES.endpoints, metadata.name!, BROKER);
    world.broker.seed(RESOURCES.endpoints, {
      ...ofEast,
      metadata: { name: metadata.name!, namespace: BROKER, labels: metadata.labels ?? {} },
      spec: { ...spec, backend },
    } as KubeObject);
  };
  foreign('vxlan');
  await stage.restart('west-1', 'wireguard');
  await stage.restart('north-1', 'wireguard');
  await world.until('east is awaited', () => stage.pending('west-1')?.clusters.join() === 'east', 60_000);
  await world.clock.advance(20_000);
  expect(stage.place('west-1').node.driver).toBe('vxlan');
  foreign('wireguard');
  await world.until('both follow', () =>
    ['west-1', 'north-1'].every((one) => stage.place(one).node.driver === 'wireguard'),
  );
  await world.until('west and north are connected', () => stage.place('west-1').node.cables.length > 0);
  await stage.restart('west-1', 'vxlan');
  await world.until('north is awaited', () => stage.pending('west-1')?.clusters.includes('north') === true, 60_000);
  for (const { metadata, spec } of endpoints())
    if (spec.cluster_id !== 'west') world.broker.drop(RESOURCES.endpoints, metadata.name!, BROKER);
  await running.get('north-1')?.stop();
  running.delete('north-1');
  for (const { metadata, spec } of endpoints())
    if (spec.cluster_id !== 'west') world.broker.drop(RESOURCES.endpoints, metadata.name!, BROKER);
  await world.until('nobody is awaited', () => stage.place('west-1').node.driver === 'vxlan', 60_000);
}, 60_000);

test('a driver that does not work on a gateway is not announced, and everything goes on', async () => {
  const stage = await connectedStage();
  const { world } = stage;
  stage.place('west-1').node.impossible.add('wireguard');
  for (const name of ['east-2', 'east-1', 'north-1', 'west-1']) await stage.restart(name, 'wireguard');
  await world.until(
    'it is told',
    () => stage.status('west-1')?.status.statusFailure.includes('not installed') === true,
  );
  expect(stage.status('west-1')?.status.statusFailure).toContain(
    'cable driver wireguard, to which the clusters are to change, does not work on this node: wireguard is not installed',
  );
  await world.clock.advance(30_000);
  expect(stage.drivers).toEqual(all('vxlan'));
  stage.place('west-1').node.impossible.clear();
  await world.until('all have changed', () => stage.drivers.join() === all('wireguard').join(), 60_000);
}, 60_000);

test('who is told to change now waits for nobody', async () => {
  const stage = await connectedStage();
  const { world } = stage;
  await stage.restart('west-1', 'wireguard', { driverChange: 'now' });
  await world.until('west has changed', () => stage.place('west-1').node.driver === 'wireguard', 30_000);
  expect(stage.place('north-1').node.driver).toBe('vxlan');
  await world.until('that is told', () => stage.status('west-1')?.status.connections[0]?.status === 'error');
  await stage.restart('north-1', 'wireguard');
  for (const name of ['east-2', 'east-1']) await stage.restart(name, 'wireguard');
  await world.until('all have changed', () => stage.drivers.join() === all('wireguard').join(), 60_000);
}, 60_000);
