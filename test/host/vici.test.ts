import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { type ViciClient, ViciError, connectVici } from '../../src/host/vici/client.ts';
import {
  PACKET,
  PacketCutter,
  ViciFormatError,
  decodeMessage,
  decodePacket,
  encodeMessage,
  encodePacket,
  type ViciPacket,
  type ViciSection,
} from '../../src/host/vici/codec.ts';

const name = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !/^\d+$/.test(text) && text !== '__proto__');
const { section } = fc.letrec<{ section: ViciSection; value: unknown }>((tie) => ({
  section: fc.dictionary(name, tie('value'), { maxKeys: 5 }) as fc.Arbitrary<ViciSection>,
  value: fc.oneof({ maxDepth: 3 }, fc.string(), fc.array(fc.string(), { maxLength: 4 }), tie('section')),
}));

/** Without prototypes and with one spelling, to compare. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('codec', () => {
  test('gives back every message', () => {
    fc.assert(
      fc.property(section, (message) => {
        expect(plain(decodeMessage(encodeMessage(message)))).toEqual(plain(message));
      }),
    );
  });

  test('encodes a load-shared as documented', () => {
    const bytes = encodeMessage({ id: 'a', owners: ['b'], x: { y: '' } });
    expect(bytes.toString('hex')).toBe('0302696400016104066f776e6572730500016206010178030179000002');
  });

  test('refuses junk with a ViciFormatError, and nothing else', () => {
    let refused = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodePacket(Buffer.from(bytes));
        } catch (error) {
          refused += 1;
          expect(error).toBeInstanceOf(ViciFormatError);
        }
      }),
      { numRuns: 2000 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('refuses every truncation of a section', () => {
    const bytes = encodeMessage({ a: { b: 'c', d: ['e', 'f'] } });
    for (let length = 1; length < bytes.length; length += 1) {
      expect(() => decodeMessage(bytes.subarray(0, length))).toThrow(ViciFormatError);
    }
  });

  test('refuses sections nested without end, and keeps names of the prototype harmless', () => {
    const start = Buffer.from([1, 1, 97]);
    expect(() => decodeMessage(Buffer.concat(Array.from({ length: 100_000 }, () => start)))).toThrow(/nested/);
    const message = decodeMessage(encodeMessage(JSON.parse('{"__proto__":{"polluted":"yes"}}') as ViciSection));
    expect(Object.keys(message)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('cuts packets however the stream is chopped, and refuses lengths beyond the limit', () => {
    const packets = [encodePacket(1, undefined, { a: 'b' }), encodePacket(7, 'list-sa', {}), encodePacket(5)];
    const stream = Buffer.concat(packets);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: stream.length })), (cuts) => {
        const cutter = new PacketCutter();
        const edges = [0, ...cuts.toSorted((a, b) => a - b), stream.length];
        const found = edges.flatMap((edge, index) => cutter.push(stream.subarray(edges[index - 1] ?? 0, edge)));
        expect(found.map((bytes) => bytes.toString('hex'))).toEqual(packets.map((bytes) => bytes.toString('hex', 4)));
      }),
    );
    expect(() => new PacketCutter().push(Buffer.from('ffffffff', 'hex'))).toThrow(ViciFormatError);
    expect(() => new PacketCutter().push(Buffer.from('00000000', 'hex'))).toThrow(ViciFormatError);
  });
});

describe('client', () => {
  let folder: string;
  let server: Server;
  let socketPath: string;
  let answer: (packet: ViciPacket, socket: Socket) => void;
  const sockets: Socket[] = [];
  const clients: ViciClient[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'vici-'));
    socketPath = path.join(folder, 's');
    answer = (packet, socket) => {
      if (packet.type === PACKET.request) socket.write(encodePacket(PACKET.response, undefined, { echo: packet.name }));
      else socket.write(encodePacket(PACKET.confirm));
    };
    server = createServer((socket) => {
      sockets.push(socket);
      const cutter = new PacketCutter();
      socket.on('error', () => undefined);
      socket.on('data', (bytes: Buffer) => {
        for (const packet of cutter.push(bytes)) answer(decodePacket(packet), socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  });

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const socket of sockets.splice(0)) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });

  async function connect(): Promise<ViciClient> {
    const client = await connectVici(socketPath);
    clients.push(client);
    return client;
  }

  test('gives concurrent requests their own answers', async () => {
    const client = await connect();
    const names = Array.from({ length: 50 }, (_, index) => `command-${index}`);
    const answers = await Promise.all(names.map((command) => client.request(command)));
    expect(answers.map((message) => message['echo'])).toEqual(names);
  });

  test('collects the events of a stream and keeps two streams apart', async () => {
    let round = 0;
    answer = (packet, socket) => {
      if (packet.type !== PACKET.request) {
        socket.write(encodePacket(PACKET.confirm));
        return;
      }
      round += 1;
      for (const part of ['a', 'b']) socket.write(encodePacket(PACKET.event, 'list-sa', { part: `${part}${round}` }));
      socket.write(encodePacket(PACKET.response));
    };
    const client = await connect();
    const both = await Promise.all([client.stream('list-sas', 'list-sa'), client.stream('list-sas', 'list-sa')]);
    expect(both.map((parts) => parts.map((part) => part['part']))).toEqual([
      ['a1', 'b1'],
      ['a2', 'b2'],
    ]);
  });

  test('a request that timed out does not shift the answers of later ones', async () => {
    let held: (() => void) | undefined;
    const plainAnswer = answer;
    answer = (packet, socket) => {
      if (packet.name === 'slow') held = () => plainAnswer(packet, socket);
      else {
        held?.();
        plainAnswer(packet, socket);
      }
    };
    const client = await connect();
    await expect(client.request('slow', {}, 20)).rejects.toThrow('did not answer slow within 20 ms');
    expect((await client.request('next'))['echo']).toBe('next');
  });

  test('rejects everything pending when charon goes, and everything after', async () => {
    answer = () => undefined;
    const client = await connect();
    const closed = new Promise<void>((resolve) => client.onClose(resolve));
    const pending = Promise.allSettled([client.request('one'), client.stream('list-sas', 'list-sa')]);
    for (const socket of sockets) socket.destroy();
    const outcomes = await pending;
    await closed;
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(client.open).toBe(false);
    await expect(client.request('after')).rejects.toBeInstanceOf(ViciError);
  });

  test('ends the connection on junk, with the reason', async () => {
    answer = (_packet, socket) => void socket.write(Buffer.from('00000002ffff', 'hex'));
    const client = await connect();
    await expect(client.request('version')).rejects.toThrow(/not VICI: unknown packet type 255/);
  });

  test('says what charon refused and why, also an unknown command', async () => {
    answer = (packet, socket) =>
      void socket.write(
        packet.name === 'nothing'
          ? encodePacket(PACKET.unknownCommand)
          : encodePacket(PACKET.response, undefined, { success: 'no', errmsg: 'invalid value for: proposals' }),
      );
    const client = await connect();
    await expect(client.command('load-conn')).rejects.toThrow('charon refused load-conn: invalid value for: proposals');
    await expect(client.request('nothing')).rejects.toThrow('does not know the command nothing');
  });

  test('says where it tried to connect', async () => {
    await expect(connectVici(path.join(folder, 'missing'))).rejects.toThrow(/cannot reach charon at .*missing.*ENOENT/);
  });
});
