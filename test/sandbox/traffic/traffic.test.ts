import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseTrafficOrder, sendTraffic } from '../../../src/sandbox/traffic/traffic.ts';

/** A server of this test: gives back what it gets, as far as `passes` lets it. */
let tcp: Server;
let udp: UdpSocket;
let port: number;
const sockets = new Set<Socket>();
let passes: (datagram: number) => 'lost' | 'once' | 'twice';
let seen: number;

beforeEach(async () => {
  passes = () => 'once';
  seen = 0;
  tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  port = (tcp.address() as AddressInfo).port;
  udp = createSocket('udp4');
  udp.on('message', (message, from) => {
    const what = passes(seen);
    seen += 1;
    if (what !== 'lost') udp.send(message, from.port, from.address);
    if (what === 'twice') udp.send(message, from.port, from.address);
  });
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  tcp.close();
  udp.close();
});

async function run(during: (send: { readonly ready: Promise<void> }) => Promise<void>) {
  const stop = new AbortController();
  let isReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const order = { host: '127.0.0.1', port, udpEveryMs: 5, tcpEveryMs: 10 };
  const report = sendTraffic(order, stop.signal, isReady);
  await during({ ready });
  stop.abort();
  return report;
}

async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !what(); await sleep(5)) if (Date.now() > end) throw new Error('not in 10 s');
}

describe('a traffic probe', () => {
  test('loses nothing where nothing is lost', async () => {
    const report = await run(async ({ ready }) => {
      await ready;
      await until(() => seen > 50);
    });
    expect(report.udp).toMatchObject({ lost: 0, duplicates: 0, reordered: 0, gaps: [], longestGapMs: 0 });
    expect(report.udp.sent).toBeGreaterThan(50);
    expect(report.tcp.acknowledged).toBe(report.tcp.sent);
    expect(report.tcp.resets).toEqual([]);
    expect(report.endedAt).toBeGreaterThan(report.startedAt);
  });

  test('tells which datagrams did not come back and which came back twice', async () => {
    passes = (number) => (number >= 20 && number < 30 ? 'lost' : number === 35 ? 'twice' : 'once');
    const report = await run(async ({ ready }) => {
      await ready;
      await until(() => seen > 60);
    });
    expect(report.udp).toMatchObject({ lost: 10, duplicates: 1 });
    expect(report.udp.gaps).toMatchObject([{ first: 20, packets: 10 }]);
    expect(report.udp.longestGapMs).toBeGreaterThanOrEqual(45);
  });

  test('tells a connection that was cut, and makes it anew', async () => {
    const report = await run(async ({ ready }) => {
      await ready;
      for (const socket of sockets) socket.resetAndDestroy();
      await until(() => sockets.size === 2);
      await until(() => seen > 100);
    });
    expect(report.tcp.resets).toHaveLength(1);
    expect(report.tcp.resets[0]?.why).toMatch(/reset/i);
    expect(report.tcp.acknowledged).toBeLessThan(report.tcp.sent);
    expect(report.tcp.acknowledged).toBeGreaterThan(0);
  });

  test('wants to know where to', () => {
    expect(parseTrafficOrder(['--udp-every', '5', '10.0.0.1:80'])).toEqual({
      host: '10.0.0.1',
      port: 80,
      udpEveryMs: 5,
      tcpEveryMs: 20,
    });
    for (const args of [[], ['somewhere'], ['--tcp-every', '0', '10.0.0.1:80']]) {
      expect(() => parseTrafficOrder(args)).toThrow('HOST:PORT');
    }
  });
});
