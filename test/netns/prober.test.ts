import { execFileSync, spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { parseReports, PROBER_PORT, type ProbeReport, type ProbeTarget } from '../../src/host/prober/protocol.ts';
import type { FlowReport, LatencyReport } from '../../src/host/prober/measurements.ts';
import { Namespaces } from './namespaces.ts';

/** a - router - b; the prober answers in b. */
const net = new Namespaces();
const PROGRAM = path.resolve('bin/routeagent');
const B = '10.99.2.2';

beforeAll(async () => {
  net.add('a', 'r', 'b');
  net.wire('a', 'wan0', 'r', 'ra');
  net.wire('b', 'wan0', 'r', 'rb');
  net.ip('a', 'addr add 10.99.1.2/24 dev wan0\naddr add 10.99.1.3/24 dev wan0\nroute add default via 10.99.1.1');
  net.ip('b', `addr add ${B}/24 dev wan0\nroute add default via 10.99.2.1`);
  net.ip('r', 'addr add 10.99.1.1/24 dev ra\naddr add 10.99.2.1/24 dev rb');
  net.sh('r', 'sysctl -qw net.ipv4.ip_forward=1');
  net.start('b', `${PROGRAM} probe serve`);
  for (let tries = 0; tries < 100 && !net.sh('b', 'ss -Hltn').includes(`:${PROBER_PORT}`); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

afterEach(() => {
  net.sh('r', 'nft flush ruleset');
  net.ip('r', 'link set ra mtu 1500\nlink set rb mtu 1500');
  net.sh('a', 'ip route flush cache');
});

afterAll(() => net.remove());

function send(target: Omit<ProbeTarget, 'id'>, timeoutMs = 700): ProbeReport {
  const order = JSON.stringify({ targets: [{ id: 'x', ...target }], timeoutMs });
  const args = ['netns', 'exec', net.name('a'), PROGRAM, 'probe', 'send'];
  const output = execFileSync('ip', args, { input: `${order}\n`, encoding: 'utf8' });
  const [report] = parseReports(output);
  if (report === undefined) throw new Error(`no report in ${output}`);
  return report;
}

function drop(rule: string): void {
  net.sh('r', `nft 'table inet f { chain c { type filter hook forward priority 0; ${rule}; }; }'`);
}

const BURST = { bytes: 84, count: 40 };

describe('the prober', () => {
  test('proves a path: ICMP, TCP and UDP, and which address was seen', () => {
    const report = send({
      address: B,
      source: '10.99.1.3',
      icmp: { count: 2 },
      pathMtu: {},
      tcp: { port: PROBER_PORT, upBytes: 100_000, downBytes: 200_000 },
      udp: { port: PROBER_PORT, bursts: [BURST, { bytes: 4000, count: 3 }], ask: true },
    });
    expect(report).toEqual({
      id: 'x',
      icmp: { sent: 2, received: 2, rttMs: expect.any(Number), failure: '' },
      pathMtu: { triedBytes: 1500, largestBytes: 1500, toldBytes: null, blackHole: false },
      tcp: {
        ok: true,
        connectMs: expect.any(Number),
        clientIP: '10.99.1.3',
        upBytes: 100_000,
        downBytes: 200_000,
        failure: '',
      },
      udp: {
        bursts: [
          { bytes: 84, sent: 40, there: 40, back: 40 },
          { bytes: 4000, sent: 3, there: 3, back: 3 },
        ],
        clientIP: '10.99.1.3',
        failure: '',
      },
    });
  });

  test('tells loss on the way there from loss on the way back', () => {
    drop(`udp dport ${PROBER_PORT} numgen inc mod 2 < 1 drop`);
    const there = send({ address: B, udp: { port: PROBER_PORT, bursts: [BURST], ask: true } });
    expect(there.udp?.bursts).toEqual([{ bytes: 84, sent: 40, there: 20, back: 20 }]);
    net.sh('r', 'nft flush ruleset');
    drop(`udp sport ${PROBER_PORT} numgen inc mod 4 < 1 drop`);
    const back = send({ address: B, udp: { port: PROBER_PORT, bursts: [BURST], ask: true } });
    expect(back.udp?.bursts).toEqual([{ bytes: 84, sent: 40, there: 40, back: 30 }]);
  });

  test('believes a router that says how much the path carries', () => {
    net.ip('r', 'link set rb mtu 1300');
    expect(send({ address: B, pathMtu: {} }).pathMtu).toEqual({
      triedBytes: 1500,
      largestBytes: 1300,
      toldBytes: 1300,
      blackHole: false,
    });
  });

  test('finds the size from which on packets vanish without a word', () => {
    drop('ip length > 1234 drop');
    const { pathMtu } = send({ address: B, pathMtu: {} });
    expect(pathMtu).toEqual({ triedBytes: 1500, largestBytes: 1234, toldBytes: null, blackHole: true });
  });

  test('says how a stream fails', () => {
    const tcp = { port: PROBER_PORT, upBytes: 50_000, downBytes: 50_000 };
    drop('ip length > 1234 drop');
    expect(send({ address: B, tcp }).tcp).toMatchObject({ ok: false, failure: expect.stringContaining('stalled') });
    net.sh('r', 'nft flush ruleset');
    drop(`tcp dport ${PROBER_PORT} drop`);
    expect(send({ address: B, tcp }).tcp).toMatchObject({ ok: false, failure: 'no TCP handshake within 0.7 s' });
    expect(send({ address: B, tcp: { ...tcp, port: 9 } }).tcp).toMatchObject({
      ok: false,
      failure: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('says what the node itself or a router answers', () => {
    net.ip('r', 'route add unreachable 10.99.9.0/24');
    const target = { address: '10.99.9.9', icmp: { count: 1 }, pathMtu: {} };
    expect(send(target)).toEqual({
      id: 'x',
      icmp: { sent: 1, received: 0, rttMs: null, failure: expect.stringContaining('Host Unreachable') },
      pathMtu: { triedBytes: 1500, largestBytes: null, toldBytes: null, blackHole: false },
    });
    net.ip('r', 'route del unreachable 10.99.9.0/24');
  });

  test('sends echo requests of a size, in fragments where need be', () => {
    expect(send({ address: B, icmp: { count: 1, bytes: 4000 } }).icmp).toMatchObject({ received: 1 });
    drop('ip length > 1400 drop');
    expect(send({ address: B, icmp: { count: 1, bytes: 4000 } }).icmp).toMatchObject({ received: 0 });
    expect(send({ address: B, icmp: { count: 1, bytes: 1400 } }).icmp).toMatchObject({ received: 1 });
  });

  test.each(['udp', 'tcp'])(
    'lets a flow over %s go on until it is told to stop, and counts the outage',
    async (protocol) => {
      const order = JSON.stringify({ protocol, address: B, port: PROBER_PORT, intervalMs: 20, maxMs: 60_000 });
      const child = spawn('ip', ['netns', 'exec', net.name('a'), PROGRAM, 'probe', 'flow', order], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const ended = new Promise((resolve) => child.once('close', resolve));
      const packets = (): number =>
        Number(/ip daddr \S+ counter packets (\d+)/.exec(net.sh('r', 'nft list table inet count'))?.[1]);
      net.sh(
        'r',
        `nft 'table inet count { chain c { type filter hook forward priority -1; ip daddr ${B} counter; }; }'`,
      );
      const passed = async (count: number): Promise<void> => {
        const end = packets() + count;
        for (let tries = 0; packets() < end && tries < 200; tries += 1) {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      await passed(10);
      drop(`ip daddr ${B} drop`);
      await new Promise((resolve) => setTimeout(resolve, 700));
      net.sh('r', 'nft delete table inet f');
      await passed(30);
      child.stdin.end('stop\n');
      expect(await ended).toBe(0);
      const report = JSON.parse(output) as FlowReport;
      expect(report).toMatchObject({ protocol, reconnects: 0 });
      expect(report.longestOutageMs).toBeGreaterThan(600);
      expect(report.longestOutageMs).toBeLessThan(10_000);
      expect(report.received).toBeGreaterThan(10);
    },
  );

  test('measures, or says why it cannot', () => {
    const run = (order: object): string => net.sh('a', `${PROGRAM} probe latency '${JSON.stringify(order)}'`);
    const order = { address: B, port: PROBER_PORT, bytes: 64, streams: 1, seconds: 0.3, warmupSeconds: 0 };
    expect((JSON.parse(run(order)) as LatencyReport).rttMs.count).toBeGreaterThan(5);
    expect(() => run({ ...order, port: 9 })).toThrow('ECONNREFUSED');
  });
});
