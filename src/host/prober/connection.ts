import { connect, type Socket } from 'node:net';
import type { TcpAsk } from './protocol.ts';
import { SocketReader } from './reader.ts';

/** Where a prober answers. */
export interface Target {
  readonly address: string;
  readonly port: number;
}

/** A connection that stays. */
export interface Connection {
  readonly socket: Socket;
  readonly reader: SocketReader;
}

/** Connects and says what is wanted; rejects when the connection is refused or takes longer than `timeoutMs`. */
export async function connectProber(target: Target, ask: TcpAsk, timeoutMs: number): Promise<Connection> {
  const socket = connect({ host: target.address, port: target.port, noDelay: true });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`no TCP handshake within ${timeoutMs / 1000} s`)), timeoutMs);
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  socket.on('error', () => undefined);
  const reader = new SocketReader(socket);
  socket.write(`${JSON.stringify(ask)}\n`);
  return { socket, reader };
}
