import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { KernelReport, MeetReport, MeetSend } from '../../src/host/prober/protocol.ts';
import { Namespaces } from './namespaces.ts';

const net = new Namespaces();
const PROGRAM = path.resolve('bin/routeagent');
const SESSION = '0123456789abcdef';
const children: ChildProcess[] = [];

beforeAll(() => {
  net.add('a', 'b');
  net.wire('a', 'eth0', 'b', 'eth0');
  net.ip('a', 'addr add 10.98.0.1/24 dev eth0');
  net.ip('b', 'addr add 10.98.0.2/24 dev eth0');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => net.remove());

interface Started {
  readonly ready: Promise<void>;
  readonly stop: () => Promise<MeetReport>;
}

function start(at: string, sends: readonly MeetSend[]): Started {
  const order = JSON.stringify({ session: SESSION, ports: [4490, 4500], sends });
  const child = spawn('ip', ['netns', 'exec', net.name(at), PROGRAM, 'probe', 'meet', order], { stdio: 'pipe' });
  children.push(child);
  let stdout = '';
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.startsWith('ready\n')) resolve();
    });
    child.stderr.on('data', (chunk: Buffer) => reject(new Error(chunk.toString())));
  });
  const stop = async (): Promise<MeetReport> => {
    child.stdin.end('stop\n');
    await closed;
    return JSON.parse(stdout.replace('ready\n', '')) as MeetReport;
  };
  return { ready, stop };
}

const way = (number: number, port: number, host: number): MeetSend => ({
  way: number,
  local: port,
  port,
  address: `10.98.0.${host}`,
  bytes: 201 + number,
});

/** Both meet for as long as it takes that everything open is answered, and a moment more. */
async function met(): Promise<{ readonly a: MeetReport; readonly b: MeetReport }> {
  const a = start('a', [way(0, 4500, 2), way(1, 4490, 2)]);
  const b = start('b', [way(2, 4500, 1), way(3, 4490, 1)]);
  await Promise.all([a.ready, b.ready]);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return { a: await a.stop(), b: await b.stop() };
}

const sorted = (numbers: readonly number[]): readonly number[] => numbers.toSorted((x, y) => x - y);

test('datagrams are answered on every port, and the ports are free again', async () => {
  const { a, b } = await met();
  expect([a.heard, a.answered, b.heard, b.answered].map(sorted)).toEqual([
    [2, 3],
    [0, 1],
    [0, 1],
    [2, 3],
  ]);
  expect([a.taken, a.failures, b.taken, b.failures]).toEqual([[], [], [], []]);
  expect(net.sh('a', 'ss -Huan')).toBe('');
});

test('one direction that is blocked is told from both', async () => {
  net.sh('b', `nft 'table inet fw { chain i { type filter hook input priority 0; udp dport 4500 drop; }; }'`);
  try {
    const { a, b } = await met();
    expect([a.heard, a.answered, b.heard, b.answered].map(sorted)).toEqual([[2, 3], [1], [1], [3]]);
  } finally {
    net.sh('b', 'nft delete table inet fw');
  }
});

test('a port that is taken is told with its owner, also when that has met its peer', async () => {
  const thief = net.start('b', 'socat -u UDP4-LISTEN:4500 /dev/null');
  for (const end = Date.now() + 10_000; net.sh('b', 'ss -Huan') === '' && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  net.sh('a', 'echo hello | socat -u - UDP4-SENDTO:10.98.0.2:4500');
  const { a, b } = await met();
  expect(b.taken).toEqual([{ port: 4500, reason: expect.stringMatching(/^UDP port 4500 .*taken by socat \(process/) }]);
  expect(sorted(a.answered)).toEqual([1]);
  thief.kill('SIGKILL');
});

test('what the kernel offers is found out without leaving anything', () => {
  const before = [net.sh('a', 'ip -br link'), net.sh('a', 'nft list ruleset')];
  const report = JSON.parse(net.sh('a', `${PROGRAM} probe kernel`)) as KernelReport;
  expect(report).toMatchObject({ vxlan: { offered: true, reason: '' }, nftables: { offered: true, reason: '' } });
  for (const { offered, reason } of [report.wireguard, report.esp, report.tun]) expect(reason === '').toBe(offered);
  expect([net.sh('a', 'ip -br link'), net.sh('a', 'nft list ruleset')]).toEqual(before);
});
