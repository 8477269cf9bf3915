import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { createPingWatcher } from '../../src/host/ping.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeCluster, World, engineConfig, startEngine, type RunningEngine, type TestClock } from '../engine/world.ts';
import { CableTestbed, until, type TestGateway } from './cable-testbed.ts';

const clock: TestClock = { ...systemClock, advance: (ms) => systemClock.sleep(ms) };

let bed: CableTestbed;
let running: RunningEngine[];
beforeEach(() => {
  running = [];
  bed = new CableTestbed(2);
});
afterEach(async () => {
  try {
    await Promise.all(running.map((engine) => engine.stop()));
  } finally {
    await bed.close();
  }
});

/** Engines in this process, with drivers and probes in the namespaces of the gateways. */
function start(world: World, name: 'libreswan' | 'wireguard' | 'vxlan', gateway: TestGateway, cluster: FakeCluster) {
  const { privateIp, dependencies, cniAddress } = gateway;
  const node = [...world.nodes.values()].find(({ ip }) => ip === privateIp)!;
  return startEngine(world, cluster, node, {
    config: engineConfig(cluster, node, { cableDriver: name }),
    createDriver: (at) => createDriver(name, { ...dependencies, ...at }),
    ping: createPingWatcher({ logger: silentLogger, namespace: gateway.namespace }),
    facts: {
      sourceAddress: async () => privateIp,
      addresses: async () => [
        { link: 'wan', address: privateIp },
        { link: 'cni0', address: cniAddress },
      ],
    },
  });
}

describe.each(['vxlan', 'wireguard', 'libreswan'] as const)('%s', (name) => {
  test('engines connect clusters, survive a restart without a change, and forget a cluster that left', async () => {
    const world = new World(clock);
    const sides = bed.gateways.map((gateway) => {
      const [services, pods] = gateway.subnets;
      const cluster = new FakeCluster(world, gateway.clusterId, pods!, services!);
      const { privateIp, cniAddress } = gateway;
      const node = world.addNode(`${gateway.clusterId}-1`, privateIp, cniAddress, gateway.dependencies.stateDir);
      cluster.addNode(node);
      return { gateway, cluster, node };
    });
    running = sides.map(({ gateway, cluster }) => start(world, name, gateway, cluster));
    const [first] = sides;
    const connection = () => first!.cluster.gateway(first!.node)?.status.connections[0];
    await until('the connection carries probes', () => {
      const seen = connection();
      return seen?.status === 'connected' && seen.latencyRTT !== undefined;
    });
    await until('pods reach each other', () => bed.allReach());

    const before = bed.snapshot(first!.gateway);
    await running.shift()!.stop();
    expect(bed.snapshot(first!.gateway)).toBe(before);
    expect(await bed.allReach()).toBe(true);
    running.push(start(world, name, first!.gateway, first!.cluster));
    await until('it is back', () => connection()?.status === 'connected', 20_000);
    expect(bed.snapshot(first!.gateway)).toBe(before);

    await running.shift()!.stop();
    for (const { metadata } of world.broker.all(RESOURCES.endpoints))
      if (metadata.name!.startsWith('c2-')) world.broker.drop(RESOURCES.endpoints, metadata.name!, metadata.namespace);
    await until(
      'its routes are gone',
      () => !bed.ip(first!.gateway, 'route', 'show', 'table', 'all').includes('10.245.'),
    );
  }, 60_000);
});
