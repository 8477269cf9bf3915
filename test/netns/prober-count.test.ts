import { spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { CountRule } from '../../src/host/prober/protocol.ts';
import { Namespaces } from './namespaces.ts';

const net = new Namespaces();
const PROGRAM = path.resolve('bin/routeagent');

beforeAll(() => {
  net.add('a', 'b');
  net.wire('a', 'eth0', 'b', 'eth0');
  net.ip('a', 'addr add 10.98.0.1/24 dev eth0');
  net.ip('b', 'addr add 10.98.0.2/24 dev eth0');
});
afterAll(() => net.remove());

const RULES: readonly CountRule[] = (['prerouting', 'input'] as const).flatMap((hook) =>
  [100, 101].map((bytes) => ({ id: `${hook}-${bytes}`, hook, port: 4500, bytes })),
);

/** Counts in b while `meanwhile` runs; resolves with what was printed and what was left. */
async function counted(meanwhile: () => void, end: 'stop' | 'kill' = 'stop'): Promise<string> {
  const args = ['netns', 'exec', net.name('b'), PROGRAM, 'probe', 'count', JSON.stringify({ rules: RULES })];
  const child = spawn('ip', args, { stdio: 'pipe' });
  let stdout = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.startsWith('ready\n')) resolve();
    });
    child.stderr.on('data', (chunk: Buffer) => reject(new Error(chunk.toString())));
  });
  meanwhile();
  if (end === 'stop') child.stdin.end('stop\n');
  else child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  return stdout.replace('ready\n', '');
}

const send = (bytes: number, count: number): void => {
  const one = `head -c ${bytes - 28} /dev/zero | socat -u - UDP4-SENDTO:10.98.0.2:4500`;
  net.sh('a', `for i in $(seq ${count}); do ${one}; done`);
};

test('packets are counted by size, at each place, and nothing is left', async () => {
  net.sh('b', `nft 'table inet fw { chain i { type filter hook input priority 0; udp length 81 drop; }; }'`);
  const seen = await counted(() => {
    send(100, 3);
    send(101, 2);
  });
  expect(JSON.parse(seen)).toEqual({ 'prerouting-100': 3, 'input-100': 3, 'prerouting-101': 2, 'input-101': 0 });
  expect(net.sh('b', 'nft list tables')).toBe('table inet fw\n');
});

test('nothing is left either when it is killed', async () => {
  await counted(() => undefined, 'kill');
  for (let tries = 0; tries < 50 && net.sh('b', 'nft list tables').includes('probe'); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(net.sh('b', 'nft list tables')).not.toContain('probe');
});
