import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { localEndpoint } from '../../src/engine/localendpoint.ts';
import type { Cluster, Endpoint, EndpointSpec, Gateway } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import type { Lease, Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import {
  FakeCluster,
  NAMESPACE,
  World,
  engineConfig,
  startEngine,
  type FakeNode,
  type RunningEngine,
} from './world.ts';

let folder: string;
let running: RunningEngine[];
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'engine-test-'));
  running = [];
});
afterEach(async () => {
  for (const engine of running) await engine.stop();
  rmSync(folder, { recursive: true });
});

function remoteSpec(over: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    cluster_id: 'east',
    cable_name: 'submariner-cable-east-172-31-0-11',
    healthCheckIP: '10.130.1.1',
    hostname: 'east-1',
    subnets: ['100.66.0.0/16', '10.130.0.0/16'],
    private_ip: '172.31.0.11',
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
    backend_config: { 'udp-port': '4500', 'natt-discovery-port': '4490', 'preferred-server': 'false' },
    ...over,
  };
}

function west(world: World) {
  const cluster = new FakeCluster(world, 'west', '10.131.0.0/16', '100.67.0.0/16');
  const node = world.addNode('west-1', '172.32.0.11', '10.131.1.1', path.join(folder, 'west-1'));
  cluster.addNode(node);
  return { cluster, node };
}

describe('one gateway', () => {
  test('publishes its Cluster and Endpoint, labels its pod and writes its Gateway', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    running.push(startEngine(world, cluster, node));
    await world.until('an Endpoint', () => cluster.kube.all(RESOURCES.endpoints).length === 1);
    await world.until('an active Gateway', () => cluster.gateway(node)?.status.haStatus === 'active');
    const [endpoint] = cluster.kube.all<Endpoint & KubeObject>(RESOURCES.endpoints);
    expect(endpoint!.metadata.name).toBe('west-submariner-cable-west-172-32-0-11');
    expect(endpoint!.spec).toEqual({
      cluster_id: 'west',
      cable_name: 'submariner-cable-west-172-32-0-11',
      healthCheckIP: '10.131.1.1',
      hostname: 'west-1',
      subnets: ['100.67.0.0/16', '10.131.0.0/16'],
      private_ip: '172.32.0.11',
      public_ip: '',
      nat_enabled: false,
      backend: 'vxlan',
      backend_config: {
        'udp-port': '4500',
        'udp-port-1': '4501',
        'natt-discovery-port': '4490',
        'preferred-server': 'false',
      },
    });
    const [published] = cluster.kube.all<Cluster & KubeObject>(RESOURCES.clusters);
    expect(published!.spec.global_cidr).toEqual([]);
    await world.until('the pod label', () => label(cluster) === 'active');
    expect(cluster.gateway(node)!.status).toEqual({
      version: 'test',
      haStatus: 'active',
      localEndpoint: endpoint!.spec,
      statusFailure: '',
      connections: [],
    });
  });

  function label(cluster: FakeCluster): string | undefined {
    return cluster.kube.all<Pod>(RESOURCES.pods)[0]!.metadata.labels?.['gateway.submariner.io/status'];
  }

  test('writes the role into the labels of its pod when it changes and now and then, not with every look', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    running.push(startEngine(world, cluster, node));
    await world.until('it is labelled', () => label(cluster) === 'active');
    const written = (): number =>
      cluster.kube.calls.filter(({ verb, resource }) => verb === 'patch' && resource === 'pods').length;
    const before = written();
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    await world.clock.advance(20_000);
    expect(written()).toBe(before);
    await world.until('it is written again', () => written() > before, 120_000);
  });

  test('asks the remote gateway how it is reached, programs the cable and says that it is silent', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    running.push(startEngine(world, cluster, node));
    await world.until('guards', () => node.guardedCidrs.length === 2);
    expect(node.cables).toEqual([]);
    await world.until('a cable by the fallback rule', () => node.cables.length === 1, 5000);
    expect(node.cables[0]).toMatchObject({
      name: 'submariner-cable-east-172-31-0-11',
      usingIp: '172.31.0.11',
      usingNat: false,
      localSubnets: ['100.67.0.0/16', '10.131.0.0/16'],
      remoteSubnets: ['100.66.0.0/16', '10.130.0.0/16'],
    });
    const connection = (): Gateway['status']['connections'][number] | undefined =>
      cluster.gateway(node)?.status.connections[0];
    await world.until('an error', () => connection()?.status === 'error', 15_000);
    expect(connection()!.statusMessage).toMatch(/^no answer of 10\.130\.1\.1 to probes through the cable since 20/);
    expect(connection()).toMatchObject({ usingIP: '172.31.0.11', usingNAT: false });
  });

  test('a driver that does not start: said in the Gateway, no election; it is tried again', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    node.broken = 'charon is not installed';
    running.push(startEngine(world, cluster, node));
    await world.until('a failure', () => (cluster.gateway(node)?.status.statusFailure ?? '') !== '');
    expect(cluster.gateway(node)!.status).toMatchObject({
      haStatus: 'passive',
      statusFailure: 'cable driver vxlan does not work on this node: charon is not installed',
    });
    expect(cluster.kube.all(RESOURCES.leases)).toEqual([]);
    node.broken = undefined;
    await world.until('an active Gateway', () => cluster.gateway(node)?.status.haStatus === 'active');
    expect(cluster.gateway(node)!.status.statusFailure).toBe('');
  });

  test('what it may not read, and a node that cannot be looked at, are said in the Gateway', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    const refuse = { code: 403, reason: 'Forbidden', message: 'nodes is forbidden' };
    cluster.kube.onCall = ({ resource }) =>
      resource === 'nodes' ? new KubeApiError(403, refuse, { server: 's', method: 'GET', path: '/' }) : undefined;
    const failing = { failure: undefined as string | undefined };
    const addresses = async () => {
      if (failing.failure !== undefined) throw new Error(failing.failure);
      return [
        { link: 'eth0', address: node.ip },
        { link: 'cni0', address: node.cniAddress },
      ];
    };
    failing.failure = 'program ip not found';
    running.push(startEngine(world, cluster, node, { facts: { addresses, sourceAddress: async () => node.ip } }));
    const failure = (): string => cluster.gateway(node)?.status.statusFailure ?? '';
    await world.until('the missing right', () => failure().startsWith('the nodes of the cluster are not known yet: '));
    expect(failure()).toContain('nodes is forbidden');
    cluster.kube.onCall = undefined;
    await world.until('the missing program', () => failure() === 'program ip not found', 60_000);
    const elected = (): boolean => cluster.gateway(node)?.status.haStatus === 'active';
    await expect(world.until('an election of a node that is not fit', elected, 30_000)).rejects.toThrow('not fit');
    failing.failure = undefined;
    await world.until('active', () => cluster.gateway(node)?.status.haStatus === 'active' && failure() === '', 60_000);
  });

  test('a taken NAT discovery port is said in the Gateway; the rest goes on', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    node.takenPort = 4490;
    running.push(startEngine(world, cluster, node));
    const failure = (): string => cluster.gateway(node)?.status.statusFailure ?? '';
    await world.until('a failure', () => failure() !== '');
    expect(failure()).toBe('NAT discovery: UDP port 4490 of this node is taken by another program');
    await world.until('an active Gateway', () => cluster.gateway(node)?.status.haStatus === 'active');
    node.takenPort = undefined;
    await world.until('no failure', () => failure() === '');
  });

  test('stops: the lease is free, the Gateway gone, the cables stay', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    const engine = startEngine(world, cluster, node);
    await world.until('a cable', () => node.cables.length === 1);
    await engine.stop();
    expect(cluster.kube.all<Lease>(RESOURCES.leases)[0]!.spec?.holderIdentity).toBe('');
    expect(cluster.gateway(node)).toBeUndefined();
    expect(node.cables).toHaveLength(1);
    expect(node.guardedCidrs).toHaveLength(2);
  });

  test('a restarted engine does not touch the cables it finds', async () => {
    const world = new World();
    const { cluster, node } = west(world);
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    const first = startEngine(world, cluster, node);
    await world.until('a cable', () => node.cables.length === 1);
    await first.stop();
    const before = node.changes.length;
    running.push(startEngine(world, cluster, node));
    await world.until('a connection', () => cluster.gateway(node)?.status.connections.length === 1);
    await world.clock.advance(10_000);
    expect(node.changes.slice(before)).toEqual([]);
  });
});

describe('two clusters and a broker', () => {
  function pair(world: World) {
    const first = west(world);
    const cluster = new FakeCluster(world, 'east', '10.130.0.0/16', '100.66.0.0/16');
    const node = world.addNode('east-1', '172.31.0.11', '10.130.1.1', path.join(folder, 'east-1'));
    cluster.addNode(node);
    return { world, first, second: { cluster, node } };
  }
  const connectionOf = ({ cluster, node }: { cluster: FakeCluster; node: FakeNode }) =>
    cluster.gateway(node)?.status.connections[0];
  const isConnected = (side: { cluster: FakeCluster; node: FakeNode }): boolean =>
    connectionOf(side)?.status === 'connected' && connectionOf(side)?.latencyRTT !== undefined;

  test('find each other, are connected, and say so with round-trip times', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('both connected', () => isConnected(first) && isConnected(second));
    expect(connectionOf(first)).toMatchObject({
      statusMessage: '',
      usingIP: '172.31.0.11',
      usingNAT: false,
      latencyRTT: { average: '1.5ms' },
      endpoint: { cluster_id: 'east', hostname: 'east-1' },
    });
    expect(first.node.guardedCidrs).toEqual(['10.130.0.0/16', '100.66.0.0/16']);
    const [mirrored] = first.cluster.kube
      .all<Endpoint & KubeObject>(RESOURCES.endpoints)
      .filter(({ spec }) => spec.cluster_id === 'east');
    expect(mirrored!.metadata.labels).toEqual({ 'submariner-io/clusterID': 'east' });
  });

  test('the heartbeat goes on without news and takes the round-trip times along', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('both connected', () => isConnected(first) && isConnected(second));
    await world.clock.advance(10_000);
    const stampsSeen = new Set<string>();
    for (let step = 0; step < 60; step += 1) {
      await world.clock.advance(500);
      stampsSeen.add(first.cluster.gateway(first.node)!.metadata.annotations!['update-timestamp']!);
    }
    expect(stampsSeen.size).toBeGreaterThanOrEqual(6);
    expect(stampsSeen.size).toBeLessThanOrEqual(8);
  });

  test('a dead remote gateway is an error within seconds, and connected again when it is back', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('connected', () => isConnected(first));
    world.dead.add(second.node.ip);
    await world.until('an error', () => connectionOf(first)?.status === 'error', 8000);
    world.dead.delete(second.node.ip);
    await world.until('connected again', () => isConnected(first), 3000);
  });

  test('a cable that goes silent is discovered anew: the path that still works is taken', async () => {
    const { world, first, second } = pair(new World());
    world.alias('198.18.0.11', second.node.ip);
    running.push(startEngine(world, first.cluster, first.node));
    const config = engineConfig(second.cluster, second.node, { publicIp: 'ipv4:198.18.0.11' });
    running.push(startEngine(world, second.cluster, second.node, { config }));
    await world.until('connected', () => isConnected(first));
    expect(connectionOf(first)).toMatchObject({ usingIP: '172.31.0.11', usingNAT: false });
    world.dead.add('172.31.0.11');
    await world.until('the public address', () => connectionOf(first)?.usingIP === '198.18.0.11', 20_000);
    expect(connectionOf(first)).toMatchObject({ usingNAT: true });
  });

  test('a broker that is away: cables and probes go on, it is said, and what changed is made up for', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('both connected', () => isConnected(first) && isConnected(second));
    world.broker.down = true;
    const failure = (): string => first.cluster.gateway(first.node)?.status.statusFailure ?? '';
    await world.until('it is said', () => failure().includes('is away'), 20_000);
    await world.clock.advance(60_000);
    expect(isConnected(first)).toBe(true);
    expect(first.node.changes).toHaveLength(1);
    world.broker.down = false;
    await world.until('nothing to complain about', () => failure() === '', 60_000);
    expect(first.node.changes).toHaveLength(1);
  });

  test('a broker that is away at the start does not keep the gateway from starting', async () => {
    const { world, first } = pair(new World());
    world.broker.down = true;
    running.push(startEngine(world, first.cluster, first.node));
    await world.until('active', () => first.cluster.gateway(first.node)?.status.haStatus === 'active', 5000);
    await world.until('published', () => first.cluster.kube.all(RESOURCES.endpoints).length === 1, 5000);
    world.broker.down = false;
    await world.until('on the broker', () => world.broker.all(RESOURCES.endpoints).length === 1, 60_000);
  });

  test('an API server that is away: the gateway stays active and keeps its cables', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('both connected', () => isConnected(first) && isConnected(second));
    first.cluster.kube.down = true;
    await world.clock.advance(120_000);
    expect(first.node.cables).toHaveLength(1);
    expect(first.node.changes).toHaveLength(1);
    const before = first.cluster.gateway(first.node)!.metadata.resourceVersion;
    first.cluster.kube.down = false;
    await world.until(
      'a new heartbeat',
      () => first.cluster.gateway(first.node)!.metadata.resourceVersion !== before,
      20_000,
    );
    expect(first.cluster.gateway(first.node)!.status.haStatus).toBe('active');
    expect(first.node.changes).toHaveLength(1);
  });

  test('a remote cluster that leaves loses its cable and its guard', async () => {
    const { world, first, second } = pair(new World());
    for (const { cluster, node } of [first, second]) running.push(startEngine(world, cluster, node));
    await world.until('both connected', () => isConnected(first) && isConnected(second));
    await running.pop()!.stop();
    for (const { metadata } of world.broker.all(RESOURCES.endpoints))
      if (metadata.labels?.['submariner-io/clusterID'] === 'east')
        world.broker.drop(RESOURCES.endpoints, metadata.name!, metadata.namespace);
    await world.until('no cable', () => first.node.cables.length === 0 && first.node.guardedCidrs.length === 0);
    await world.until('no connection', () => first.cluster.gateway(first.node)!.status.connections.length === 0);
  });
});

describe('two gateways of one cluster', () => {
  function standby(world: World) {
    const { cluster, node } = west(world);
    const other = world.addNode('west-2', '172.32.0.12', '10.131.2.1', path.join(folder, 'west-2'));
    cluster.addNode(other);
    return { cluster, node, other };
  }
  const role = (cluster: FakeCluster, node: FakeNode): string | undefined => cluster.gateway(node)?.status.haStatus;

  test('one is active, the other passive without cables; a clean stop hands over at once', async () => {
    const world = new World();
    const { cluster, node, other } = standby(world);
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    const first = startEngine(world, cluster, node);
    await world.until('active', () => role(cluster, node) === 'active');
    running.push(startEngine(world, cluster, other));
    await world.until('passive', () => role(cluster, other) === 'passive');
    await world.until('a cable', () => node.cables.length === 1);
    expect(other.cables).toEqual([]);
    expect(cluster.gateway(other)!.status.connections).toEqual([]);
    await first.stop();
    await world.until('the other is active', () => role(cluster, other) === 'active', 1500);
    await world.until('its cable', () => other.cables.length === 1, 5000);
    const own = (): readonly string[] =>
      cluster.kube
        .all<Endpoint & KubeObject>(RESOURCES.endpoints)
        .filter(({ spec }) => spec.cluster_id === 'west')
        .map(({ spec }) => spec.hostname);
    await world.until('only its Endpoint', () => own().join() === 'west-2');
    expect(node.cables).toHaveLength(1);
  });

  test('a leader that comes back as second removes its cables, as the other is known to carry the traffic', async () => {
    const world = new World();
    const { cluster, node, other } = standby(world);
    cluster.kube.seed(RESOURCES.endpoints, localEndpoint(remoteSpec(), NAMESPACE));
    const first = startEngine(world, cluster, node);
    await world.until('a cable', () => node.cables.length === 1);
    running.push(startEngine(world, cluster, other));
    await first.stop();
    await world.until('the other has it', () => other.cables.length === 1);
    running.push(startEngine(world, cluster, node));
    await world.until('the old one has none', () => node.cables.length === 0 && node.guardedCidrs.length === 0);
    expect(other.cables).toHaveLength(1);
  });

  test('the Gateway of a dead engine goes after 15 s, a living one stays', async () => {
    const world = new World();
    const { cluster, node, other } = standby(world);
    for (const one of [node, other]) running.push(startEngine(world, cluster, one));
    await world.until('both', () => role(cluster, node) !== undefined && role(cluster, other) !== undefined);
    const dead: Gateway = {
      ...cluster.gateway(node)!,
      metadata: { name: 'west-9', namespace: NAMESPACE, annotations: { 'update-timestamp': '1' } },
    };
    cluster.kube.seed(RESOURCES.gateways, dead);
    const names = (): string =>
      [...cluster.kube.all(RESOURCES.gateways)]
        .map(({ metadata }) => metadata.name ?? '')
        .sort((a, b) => a.localeCompare(b))
        .join();
    await world.clock.advance(14_000);
    expect(names()).toBe('west-1,west-2,west-9');
    await world.until('it is gone', () => names() === 'west-1,west-2', 10_000);
    await world.clock.advance(30_000);
    expect(names()).toBe('west-1,west-2');
  });
});
