import { expect, test } from '@jest/globals';
import type { Gateway } from '../../src/api/types.ts';
import { GatewayReporter, StaleGateways, removeGateways } from '../../src/engine/gatewaystatus.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';

const never = new AbortController().signal;
const latency = { last: '1ms', min: '1ms', average: '1ms', max: '1ms', stdDev: '0s' };
const endpoint = {
  cluster_id: 'east',
  cable_name: 'c',
  hostname: 'east-1',
  subnets: [],
  private_ip: '',
  public_ip: '',
  nat_enabled: false,
  backend: 'vxlan',
};

function gateway(name: string, failure = '', last = '1ms'): Gateway & KubeObject {
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'ns' },
    status: {
      version: '1',
      haStatus: 'active',
      localEndpoint: endpoint,
      statusFailure: failure,
      connections: [{ status: 'connected', statusMessage: '', endpoint, latencyRTT: { ...latency, last } }],
    },
  };
}

function bench() {
  const clock = new FakeClock();
  const client = new FakeKube();
  const reporter = new GatewayReporter({ client, clock });
  const stored = (): Gateway => client.all<Gateway & KubeObject>(RESOURCES.gateways)[0]!;
  return { clock, client, reporter, stored };
}

test('news are written at once, the rest every 5 s with a fresh stamp', async () => {
  const { clock, client, reporter, stored } = bench();
  await reporter.report(gateway('g'), never);
  expect(stored().metadata.annotations).toEqual({ 'update-timestamp': String(clock.now() / 1000) });
  await clock.advance(2000);
  await reporter.report(gateway('g', '', '2ms'), never);
  expect(client.writes).toHaveLength(1);
  await reporter.report(gateway('g', 'broken'), never);
  expect(client.writes).toHaveLength(2);
  await clock.advance(4600);
  await reporter.report(gateway('g', 'broken', '3ms'), never);
  expect(stored().status.connections[0]!.latencyRTT!.last).toBe('3ms');
  expect(stored().metadata.annotations).toEqual({ 'update-timestamp': String(Math.floor(clock.now() / 1000)) });
});

test('calls when the heartbeat is due, however often it was asked to report in between', async () => {
  const { clock, reporter, client } = bench();
  const stop = new AbortController();
  const done = reporter.beat(() => void reporter.report(gateway('g'), never), stop.signal);
  const stamps = new Set<string>();
  for (let step = 0; step < 100; step += 1) {
    await clock.advance(300);
    await reporter.report(gateway('g'), never);
    stamps.add(client.all(RESOURCES.gateways)[0]!.metadata.annotations!['update-timestamp']!);
  }
  stop.abort();
  await done;
  const times = [...stamps].map(Number).sort((a, b) => a - b);
  expect(times.length).toBeGreaterThan(5);
  for (const [index, time] of times.slice(1).entries()) expect(time - times[index]!).toBeLessThanOrEqual(5);
});

test('what was not taken is written again, and what others annotated stays', async () => {
  const { client, reporter, stored } = bench();
  client.seed(RESOURCES.gateways, {
    metadata: { name: 'g', namespace: 'ns', annotations: { 'submariner.io/globalIp': '242.0.0.1' } },
  });
  client.down = true;
  await expect(reporter.report(gateway('g'), never)).rejects.toThrow('cannot reach');
  client.down = false;
  await reporter.report(gateway('g'), never);
  expect(stored().metadata.annotations).toMatchObject({ 'submariner.io/globalIp': '242.0.0.1' });
  expect(stored().status.haStatus).toBe('active');
  await reporter.remove({ nodeName: 'g', namespace: 'ns' }, never);
  expect(client.all(RESOURCES.gateways)).toEqual([]);
});

test('a Gateway is stale when it was not written for 15 s of our own time; the own one never', () => {
  const stale = new StaleGateways();
  const at = (version: string): Gateway => ({
    ...gateway('other'),
    metadata: { name: 'other', resourceVersion: version },
  });
  const own = { ...gateway('own'), metadata: { name: 'own', resourceVersion: '1' } };
  expect(stale.find([own, at('1')], 'own', 0)).toEqual([]);
  expect(stale.find([own, at('1')], 'own', 14_999)).toEqual([]);
  expect(stale.find([own, at('2')], 'own', 15_000)).toEqual([]);
  expect(stale.find([own, at('2')], 'own', 29_999)).toEqual([]);
  expect(stale.find([own, at('2')], 'own', 30_000)).toEqual([at('2')]);
  expect(stale.find([own], 'own', 30_001)).toEqual([]);
  expect(stale.find([own, at('2')], 'own', 45_000)).toEqual([]);
});

test('a Gateway that was written after we looked is not removed', async () => {
  const { client } = bench();
  const seen = client.seed(RESOURCES.gateways, gateway('other'));
  await client.patch(
    RESOURCES.gateways,
    'other',
    { metadata: { annotations: { a: 'b' } } },
    { patchType: 'merge', namespace: 'ns' },
  );
  await removeGateways([seen], { client, logger: silentLogger, signal: never });
  expect(client.all(RESOURCES.gateways)).toHaveLength(1);
  await removeGateways(client.all<Gateway & KubeObject>(RESOURCES.gateways), {
    client,
    logger: silentLogger,
    signal: never,
  });
  expect(client.all(RESOURCES.gateways)).toEqual([]);
});
