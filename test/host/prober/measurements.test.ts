import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runFlow } from '../../../src/host/prober/flow.ts';
import { runLatency } from '../../../src/host/prober/latency.ts';
import { serveProbes } from '../../../src/host/prober/serve.ts';
import { runThroughput } from '../../../src/host/prober/throughput.ts';

const address = '127.0.0.1';
const stop = new AbortController();
const { signal } = new AbortController();
let port = 0;
let served: Promise<void>;

/** A port of this machine nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port: free } = server.address() as { readonly port: number };
  await new Promise((resolve) => server.close(resolve));
  return free;
}

beforeAll(async () => {
  port = await freePort();
  await new Promise<void>((resolve, reject) => {
    served = serveProbes({ tcpPort: port, udpPorts: [port], address }, stop.signal, () => resolve());
    served.catch(reject);
  });
});

afterAll(async () => {
  stop.abort();
  await served;
});

describe('flows', () => {
  test.each(['tcp', 'udp'] as const)('%s: goes on until it is stopped and counts', async (protocol) => {
    const end = new AbortController();
    const flow = runFlow({ protocol, address, port, intervalMs: 20, maxMs: 60_000 }, end.signal);
    await new Promise((resolve) => setTimeout(resolve, 400));
    end.abort();
    const report = await flow;
    expect(report).toMatchObject({ protocol, lost: 0, reconnects: 0 });
    expect(report.received).toBeGreaterThan(3);
    expect(report.received).toBeLessThanOrEqual(report.sent);
  });

  test.each(['tcp', 'udp'] as const)('%s: with nobody there the whole time is an outage', async (protocol) => {
    const order = { protocol, address, port: await freePort(), intervalMs: 50, maxMs: 1500 };
    const report = await runFlow(order, signal);
    expect(report).toMatchObject({ received: 0, outages: [{ fromMs: 0 }], reconnects: 0 });
    expect(report.longestOutageMs).toBeGreaterThanOrEqual(1400);
    expect(report.lost > 0).toBe(protocol === 'udp');
  });
});

describe('measurements', () => {
  test('throughput: what arrived in the time, and what it cost', async () => {
    const report = await runThroughput({ address, port, streams: 2, seconds: 0.5, warmupSeconds: 0.1 }, signal);
    expect(report.bytes).toBeGreaterThan(1_000_000);
    expect(report.seconds).toBeGreaterThan(0.4);
    expect(report.bitsPerSecond / ((report.bytes * 8) / report.seconds)).toBeCloseTo(1, 2);
    expect(report.client.own).toBeGreaterThan(0);
    expect(report.client.machine).toBe(report.server.machine);
  });

  test('latency: round trips as a distribution', async () => {
    const order = { address, port, bytes: 64, streams: 2, seconds: 0.3, warmupSeconds: 0 };
    const { rttMs, perSecond } = await runLatency(order, signal);
    expect(rttMs.count).toBeGreaterThan(10);
    expect(perSecond).toBeCloseTo(rttMs.count / 0.3, 0);
    expect(rttMs.min).toBeGreaterThan(0);
    expect(rttMs.p50).toBeLessThanOrEqual(rttMs.p99);
    expect(rttMs.p99).toBeLessThanOrEqual(rttMs.max);
  });

  test('nobody there is said', async () => {
    const order = { address, port: await freePort(), streams: 1, seconds: 1, bytes: 1, warmupSeconds: 0 };
    await expect(runThroughput(order, signal)).rejects.toThrow('ECONNREFUSED');
    await expect(runLatency(order, signal)).rejects.toThrow('ECONNREFUSED');
  });
});
