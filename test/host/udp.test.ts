import { expect, test } from '@jest/globals';
import { openUdpSocket, sourceAddressFor, type UdpAddress } from '../../src/host/udp.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';

test('datagrams go from socket to socket, empty ones too', async () => {
  const [one, two] = [await openUdpSocket(0, '127.0.0.1'), await openUdpSocket(0, '127.0.0.1')];
  try {
    const got = new Promise<readonly [string, UdpAddress][]>((resolve) => {
      const seen: [string, UdpAddress][] = [];
      two.onMessage((bytes, from) => {
        seen.push([Buffer.from(bytes).toString(), from]);
        if (seen.length === 2) resolve(seen);
      });
    });
    await one.send(Buffer.alloc(0), { ip: '127.0.0.1', port: two.port });
    await one.send(Buffer.from('hello'), { ip: '127.0.0.1', port: two.port });
    const from = { ip: '127.0.0.1', port: one.port };
    expect(await got).toEqual([
      ['', from],
      ['hello', from],
    ]);
  } finally {
    one.close();
    two.close();
  }
});

test('a taken port is an error the operator understands', async () => {
  const holder = await openUdpSocket(0);
  try {
    const attempt = openUdpSocket(holder.port);
    await expect(attempt).rejects.toBeInstanceOf(ExpectedError);
    await expect(attempt).rejects.toMatchObject({
      message: `UDP port ${holder.port} of this node is taken by another program`,
      hint: expect.stringContaining(`ss -ulpn 'sport = :${holder.port}'`),
    });
  } finally {
    holder.close();
  }
});

test('a closed socket says so, and may be closed again', async () => {
  const socket = await openUdpSocket(0, '127.0.0.1');
  socket.close();
  socket.close();
  await expect(socket.send(Buffer.from('x'), { ip: '127.0.0.1', port: 9 })).rejects.toThrow('the socket is closed');
});

test('the source address towards a target; none for what is no address', async () => {
  expect(await sourceAddressFor('127.0.0.1')).toBe('127.0.0.1');
  expect(await sourceAddressFor('not-an-address')).toBeUndefined();
  expect(await sourceAddressFor('')).toBeUndefined();
});
