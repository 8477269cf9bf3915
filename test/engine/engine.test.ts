import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { localEndpoint } from '../../src/engine/localendpoint.ts';
import type { Cluster, Endpoint, EndpointSpec, Gateway } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Lease, Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeCluster, NAMESPACE, World, startEngine, type RunningEngine } from './world.ts';

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
      backend_config: { 'udp-port': '4500', 'natt-discovery-port': '4490', 'preferred-server': 'false' },
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
