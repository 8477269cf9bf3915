import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { parsePendingChange } from '../../src/api/driverchange.ts';
import type { CableDriverName } from '../../src/engine/config.ts';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { createPingWatcher } from '../../src/host/ping.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { FakeCluster, World, engineConfig, startEngine, type RunningEngine, type TestClock } from '../engine/world.ts';
import { CableTestbed, until, type TestGateway } from './cable-testbed.ts';
import { createJournal, type Journal } from './journal.ts';

const clock: TestClock = { ...systemClock, advance: (ms) => systemClock.sleep(ms) };
const PING_MS = 20;
/** A planned change costs no more than a fail-over. */
const MOST_MS = 3000;

let bed: CableTestbed;
let running: Map<string, RunningEngine>;
let journal: Journal;
beforeEach(() => {
  journal = createJournal();
  running = new Map();
  bed = new CableTestbed(2);
});
afterEach(async () => {
  try {
    await Promise.all([...running.values()].map((engine) => engine.stop()));
  } finally {
    await bed.close();
  }
});

/** Engines in this process, with drivers and probes in the namespaces of the gateways. */
class Stage {
  readonly world = new World(clock);
  readonly sides = bed.gateways.map((gateway) => {
    const [services = '', pods = ''] = gateway.subnets;
    const cluster = new FakeCluster(this.world, gateway.clusterId, pods, services);
    const { privateIp, cniAddress, dependencies } = gateway;
    const node = this.world.addNode(`${gateway.clusterId}-1`, privateIp, cniAddress, dependencies.stateDir);
    cluster.addNode(node);
    return { gateway, cluster, node };
  });

  async restart(index: number, cableDriver: CableDriverName): Promise<void> {
    const { cluster, node, gateway } = this.sides[index]!;
    await running.get(node.name)?.stop();
    const { privateIp, cniAddress, dependencies, namespace } = gateway;
    const logger = journal.logger.with({ node: node.name, driver: cableDriver });
    const engine = startEngine(this.world, cluster, node, {
      logger,
      steadyMs: 1000,
      config: engineConfig(cluster, node, { cableDriver }),
      createDriver: (at, name) => createDriver(name, { ...dependencies, ...at, logger }),
      ping: createPingWatcher({ logger, namespace }),
      facts: {
        sourceAddress: async () => privateIp,
        addresses: async () => [
          { link: 'wan', address: privateIp },
          { link: 'cni0', address: cniAddress },
        ],
      },
    });
    running.set(node.name, engine);
  }

  gatewayOf(index: number) {
    const { cluster, node } = this.sides[index]!;
    return cluster.gateway(node);
  }

  async connected(driver: CableDriverName): Promise<void> {
    await until(
      `both are connected by ${driver}`,
      () =>
        [0, 1].every((index) => {
          const { status } = this.gatewayOf(index) ?? {};
          const [connection] = status?.connections ?? [];
          return status?.localEndpoint.backend === driver && connection?.status === 'connected';
        }),
      40_000,
    );
    await until('pods reach each other', () => bed.allReach());
  }
}

function linksOf(gateway: TestGateway): readonly string[] {
  return [...bed.ip(gateway, '-o', 'link').matchAll(/^\d+: (ipsec\d|submariner1?|vxlan-tunnel)[:@]/gm)].map(
    ([, name = '']) => name,
  );
}

/** Waits until a gateway has links of this name only, and no more of them than it may. */
async function leaves(gateway: TestGateway, link: RegExp, most = 2): Promise<void> {
  const done = (): boolean => {
    const links = linksOf(gateway);
    return links.length > 0 && links.length <= most && links.every((name) => link.test(name));
  };
  await until(`only ${link.source} is left`, done, 45_000);
}

test('the driver changes when both sides want to, with a short gap, nothing in clear, and nothing of the former one left', async () => {
  await journal.explain(changes);
}, 400_000);

async function changes(): Promise<void> {
  const stage = new Stage();
  const [first, second] = bed.gateways as readonly [TestGateway, TestGateway];
  for (const index of [0, 1]) await stage.restart(index, 'libreswan');
  await stage.connected('libreswan');
  const gaps: string[] = [];
  const change = async (from: CableDriverName, to: CableDriverName): Promise<void> => {
    const secret = from !== 'vxlan' && to !== 'vxlan';
    const stopCapture = secret ? await bed.capture() : undefined;
    const stopPinging = bed.pinger(first.podNamespace, second.podAddress);
    await stage.restart(0, to);
    await until(
      'the first one announces it',
      () => parsePendingChange(stage.gatewayOf(0)?.metadata ?? {})?.announced === true,
      40_000,
    );
    expect(await bed.allReach()).toBe(true);
    await stopPinging.answers(10);
    await stage.restart(1, to);
    await stage.connected(to);
    const { sent, answered } = await stopPinging();
    gaps.push(`${from} to ${to} ${(sent - answered) * PING_MS} ms`);
    expect((sent - answered) * PING_MS).toBeLessThan(MOST_MS);
    const captured = await stopCapture?.();
    expect(captured?.inner ?? 0).toBe(0);
    expect(captured === undefined || captured.tunnel > 10).toBe(true);
  };
  await change('libreswan', 'wireguard');
  await leaves(first, /^submariner1?$/);
  await change('wireguard', 'libreswan');
  await leaves(first, /^ipsec[01]$/);
  await change('libreswan', 'vxlan');
  await leaves(first, /^vxlan-tunnel$/, 1);
  await change('vxlan', 'wireguard');
  // What is of no use to a gateway without a second one on the other side goes when there is time.
  await leaves(second, /^submariner$/, 1);
  process.stderr.write(`gaps: ${gaps.join(', ')}\n`);
}
