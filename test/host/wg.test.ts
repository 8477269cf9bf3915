import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  ensurePrivateKey,
  generatePrivateKey,
  isWireguardKey,
  parseDump,
  parseUapi,
  publicKeyOf,
  renderUapi,
  wgCommands,
} from '../../src/host/wg.ts';
import { askUapi } from '../../src/host/wireguardgo.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'wg-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

describe('keys', () => {
  test('the public key of RFC 7748, section 6.1', () => {
    const hex = (text: string): string => Buffer.from(text, 'hex').toString('base64');
    const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
    expect(publicKeyOf(alice)).toBe(hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'));
  });

  test('is made once, readable by its owner only, and kept; junk in its file is replaced', () => {
    const key = ensurePrivateKey(path.join(folder, 'a'));
    const file = path.join(folder, 'a', 'private.key');
    expect(isWireguardKey(key)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(ensurePrivateKey(path.join(folder, 'a'))).toBe(key);
    writeFileSync(file, 'torn');
    const other = ensurePrivateKey(path.join(folder, 'a'));
    expect(readFileSync(file, 'utf8').trim()).toBe(other);
    chmodSync(file, 0o600);
  });

  test.each(['', 'abc', `${'A'.repeat(42)}=`, `${'A'.repeat(43)}==`, `${'A'.repeat(42)}B=`, 'ä'.repeat(44)])(
    '%p is none',
    (text) => expect(isWireguardKey(text)).toBe(false),
  );
});

describe('userspace API', () => {
  const hex = (key: string): string => Buffer.from(key, 'base64').toString('hex');
  const [own, peer, psk] = [generatePrivateKey(), publicKeyOf(generatePrivateKey()), generatePrivateKey()];

  test('reads device and peers', () => {
    const text = [
      `private_key=${hex(own)}`,
      'listen_port=4500',
      `public_key=${hex(peer)}`,
      `preshared_key=${hex(psk)}`,
      'protocol_version=1',
      'endpoint=198.18.0.2:4500',
      'last_handshake_time_sec=1700000000',
      'last_handshake_time_nsec=5',
      'tx_bytes=148',
      'rx_bytes=92',
      'persistent_keepalive_interval=10',
      'allowed_ip=10.131.0.0/16',
      'allowed_ip=100.66.0.0/16',
      'errno=0\n\n',
    ].join('\n');
    expect(parseUapi(text)).toEqual({
      privateKey: own,
      listenPort: 4500,
      peers: [
        {
          publicKey: peer,
          presharedKey: psk,
          endpoint: '198.18.0.2:4500',
          allowedIps: ['10.131.0.0/16', '100.66.0.0/16'],
          keepaliveSeconds: 10,
          latestHandshake: 1_700_000_000,
          rxBytes: 92,
          txBytes: 148,
        },
      ],
    });
    expect(parseUapi('errno=0\n\n')).toEqual({ privateKey: undefined, listenPort: 0, peers: [] });
  });

  test('writes changes', () => {
    const change = {
      privateKey: undefined,
      listenPort: 4501,
      removePeers: [own],
      setPeers: [
        { publicKey: peer, presharedKey: psk, endpoint: undefined, allowedIps: ['10.0.0.0/8'], keepaliveSeconds: 10 },
      ],
    };
    expect(renderUapi(change).split('\n')).toEqual([
      'set=1',
      'listen_port=4501',
      `public_key=${hex(own)}`,
      'remove=true',
      `public_key=${hex(peer)}`,
      `preshared_key=${hex(psk)}`,
      'persistent_keepalive_interval=10',
      'replace_allowed_ips=true',
      'allowed_ip=10.0.0.0/8',
      '',
      '',
    ]);
    expect(wgCommands('submariner', change, '/k')).toEqual([
      { args: ['set', 'submariner', 'listen-port', '4501', 'peer', own, 'remove'], key: undefined },
      {
        args: `set submariner peer ${peer} preshared-key /k persistent-keepalive 10 allowed-ips 10.0.0.0/8`.split(' '),
        key: psk,
      },
    ]);
  });

  test('junk is refused with an ExpectedError or gives no peers, and never crashes', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('public_key=', 'allowed_ip=x', 'errno=0', 'errno=5', 'listen_port=-1'),
    );
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          expect(parseUapi(lines.join('\n')).peers).toEqual([]);
        } catch (error) {
          expect(error).toBeInstanceOf(ExpectedError);
        }
        expect(parseDump(lines.join('\t')).peers).toEqual([]);
      }),
    );
    expect(() => parseUapi('')).toThrow('errno missing');
  });

  test('an answer that does not come, or breaks off, is an error that names the socket', async () => {
    const socketPath = path.join(folder, 's');
    let hangUp = false;
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      if (hangUp) socket.end('private_key=00\n');
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    await expect(askUapi(socketPath, 'get=1\n\n', 30)).rejects.toThrow(`${socketPath}: no answer within 30 ms`);
    hangUp = true;
    await expect(askUapi(socketPath, 'get=1\n\n')).rejects.toThrow('the connection ended');
    await new Promise((resolve) => server.close(resolve));
    await expect(askUapi(socketPath, 'get=1\n\n')).rejects.toThrow('ENOENT');
  });
});

test('reads wg show dump of a kernel link', () => {
  const [own, peer] = [generatePrivateKey(), publicKeyOf(generatePrivateKey())];
  const text = `${own}\t${publicKeyOf(own)}\t4500\toff\n${peer}\t(none)\t(none)\t(none)\t0\t0\t148\toff\n`;
  expect(parseDump(text)).toEqual({
    privateKey: own,
    listenPort: 4500,
    peers: [
      {
        publicKey: peer,
        presharedKey: undefined,
        endpoint: undefined,
        allowedIps: [],
        keepaliveSeconds: 0,
        latestHandshake: 0,
        rxBytes: 0,
        txBytes: 148,
      },
    ],
  });
});
