import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** An address and a UDP port. */
export interface UdpAddress {
  readonly ip: string;
  readonly port: number;
}

/** A bound UDP socket. */
export interface UdpSocket {
  readonly port: number;
  send(bytes: Uint8Array, to: UdpAddress): Promise<void>;
  /** Called with each datagram, empty ones included. */
  onMessage(listener: (bytes: Uint8Array, from: UdpAddress) => void): void;
  /** Called when the socket can no longer be used. */
  onError(listener: (error: Error) => void): void;
  close(): void;
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
}

/** Binds a UDP/IPv4 port on all addresses (0 = any); rejects with ExpectedError when it is taken. */
export async function openUdpSocket(port: number, address = '0.0.0.0'): Promise<UdpSocket> {
  const socket = createSocket({ type: 'udp4', reuseAddr: false });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(bindError(error, port));
    });
    socket.bind(port, address, () => {
      socket.removeAllListeners('error');
      resolve();
    });
  });
  socket.on('error', () => undefined);
  let closed = false;
  return {
    port: socket.address().port,
    send: (bytes, to) =>
      new Promise((resolve, reject) => {
        if (closed) {
          reject(new ExpectedError('the socket is closed'));
          return;
        }
        socket.send(bytes, to.port, to.ip, (error) => (error === null ? resolve() : reject(error)));
      }),
    onMessage: (listener) =>
      void socket.on('message', (bytes, from) => listener(bytes, { ip: from.address, port: from.port })),
    onError: (listener) => void socket.on('error', listener),
    close: () => {
      if (!closed) socket.close();
      closed = true;
    },
  };
}

function bindError(error: unknown, port: number): ExpectedError {
  if (codeOf(error) === 'EADDRINUSE')
    return new ExpectedError(`UDP port ${port} of this node is taken by another program`, {
      hint: `Find it with: ss -ulpn 'sport = :${port}'. Stop it or choose another port.`,
      cause: error,
    });
  return new ExpectedError(`cannot open UDP port ${port}: ${messageOf(error)}`, { cause: error });
}

/**
 * The local address the kernel would send from to `target` (a connected socket; no packet is sent); undefined when
 * there is no route or the target is no address.
 */
export async function sourceAddressFor(target: string): Promise<string | undefined> {
  const family = isIP(target);
  if (family === 0) return undefined;
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, target, (error?: Error) => (error === undefined ? resolve() : reject(error)));
    });
    const { address } = socket.address();
    return address === '0.0.0.0' || address === '::' ? undefined : address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}
