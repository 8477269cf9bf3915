import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { probe, runProbe } from '../../src/sandbox/probe.ts';

let servers: Server[] = [];

function closeServers(): void {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  servers = [];
}

afterEach(closeServers);

async function serve(answer: string | undefined): Promise<string> {
  const made = createServer((_request, response) => void (answer !== undefined && response.end(answer)));
  servers.push(made);
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}/`;
}

test('says who answered, whom it saw and how long a handshake takes', async () => {
  const url = await serve(
    JSON.stringify({ cluster: 'east', node: 'east-1', pod: 'echo-1', clientIP: '127.0.0.1', other: 1 }),
  );
  const lines: string[] = [];
  await runProbe(['--timeout', '2000', url], (line) => lines.push(line));
  const result = JSON.parse(lines[0] ?? '') as { readonly rttMs: number };
  expect(result).toMatchObject({
    url,
    ok: true,
    cluster: 'east',
    node: 'east-1',
    pod: 'echo-1',
    clientIP: '127.0.0.1',
  });
  expect(result).not.toHaveProperty('other');
  expect(result.rttMs).toBeGreaterThan(0);
});

test('reports silence, nonsense and closed ports instead of failing', async () => {
  expect(await probe(await serve(undefined), 100)).toMatchObject({ ok: false, error: 'no answer within 0.1 s' });
  const url = await serve('<html>');
  expect(await probe(url, 1000)).toMatchObject({ ok: false, error: expect.stringContaining('JSON') });
  closeServers();
  expect(await probe(url, 1000)).toMatchObject({ ok: false, error: expect.stringContaining('ECONNREFUSED') });
});
