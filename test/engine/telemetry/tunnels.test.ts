import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { observeTunnels } from '../../../src/engine/telemetry/tunnels.ts';
import type { CommandRunner } from '../../../src/host/command.ts';

const PRIVATE = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const PUBLIC = 'HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=';
const PEER = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const SHARED = '/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=';
const DUMP = [
  [PRIVATE, PUBLIC, '4500', 'off'],
  [PEER, SHARED, '172.32.0.11:4500', '10.131.0.0/16,100.67.0.0/16', '1893456000', '11', '22', '10'],
]
  .map((fields) => fields.join('\t'))
  .join('\n');

describe('observeTunnels', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = mkdtempSync(path.join(os.tmpdir(), 'subctl-tunnels-'));
  });
  afterEach(() => rmSync(stateDir, { recursive: true }));

  const answering = (stdout: string): CommandRunner => ({
    run: async () => Promise.resolve({ exitCode: 0, stdout, stderr: '' }),
  });

  test('peers of the kernel with their counters; no key but the public one', async () => {
    const found = await observeTunnels({ runner: answering(DUMP), stateDir, wireguardLinks: ['submariner'] });
    expect(found).toEqual({
      ike: [],
      problems: [],
      peers: [
        {
          link: 'submariner',
          publicKey: PEER,
          endpoint: '172.32.0.11:4500',
          allowedIps: ['10.131.0.0/16', '100.67.0.0/16'],
          keepaliveSeconds: 10,
          latestHandshake: '2030-01-01T00:00:00.000Z',
          rxBytes: 11,
          txBytes: 22,
        },
      ],
    });
    const text = JSON.stringify(found);
    expect([PRIVATE, SHARED].filter((key) => text.includes(key))).toEqual([]);
  });

  test('what cannot be read is a problem of its own', async () => {
    const runner: CommandRunner = { run: async () => Promise.reject(new Error('wg is not installed')) };
    const { peers, problems } = await observeTunnels({ runner, stateDir, wireguardLinks: ['submariner'] });
    expect([peers, problems]).toEqual([[], ['WireGuard link submariner: wg is not installed']]);
  });

  test('sockets that dead daemons left are passed over, as is a folder that is not there yet', async () => {
    for (const socket of ['charon/charon.vici', 'wireguard/run/submariner.sock']) {
      mkdirSync(path.dirname(path.join(stateDir, socket)), { recursive: true });
      writeFileSync(path.join(stateDir, socket), '');
    }
    const nothing = { ike: [], peers: [], problems: [] };
    expect(await observeTunnels({ runner: answering(''), stateDir, wireguardLinks: [] })).toEqual(nothing);
    const nowhere = path.join(stateDir, 'nowhere');
    expect(await observeTunnels({ runner: answering(''), stateDir: nowhere, wireguardLinks: [] })).toEqual(nothing);
  });
});
