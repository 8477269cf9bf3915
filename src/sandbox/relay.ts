import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { writeFileAtomically } from './lifecycle/state.ts';

/** Configuration of the loopback proxy of a sandbox. */
export interface RelayConfig {
  /** Loopback port; 0 lets the system choose. */
  readonly port: number;
  /** Unix socket of each API server by the address clients know it by, e.g. `198.18.0.11:6443`. */
  readonly targets: Readonly<Record<string, string>>;
  /** The port is written here once the proxy listens. */
  readonly portFile: string;
}

export interface Relay {
  readonly port: number;
  close(): Promise<void>;
}

function refuse(client: Duplex, status: string, text: string): void {
  client.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}

function join(client: Duplex, head: Buffer, socketPath: string, onFailure: (error: Error) => void): void {
  const server = connect(socketPath);
  let open = false;
  server.once('connect', () => {
    open = true;
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (head.length > 0) server.write(head);
    server.pipe(client);
    client.pipe(server);
  });
  server.on('error', (error) => {
    if (open) client.destroy();
    else onFailure(error);
  });
  client.on('error', () => server.destroy());
  client.on('close', () => server.destroy());
  server.on('close', () => client.destroy());
}

function onConnect(
  config: Pick<RelayConfig, 'targets'>,
  logger: Logger,
): (request: IncomingMessage, client: Duplex, head: Buffer) => void {
  return (request, client, head) => {
    const target = request.url ?? '';
    const socketPath = config.targets[target];
    if (socketPath === undefined) {
      logger.debug('refused', { target });
      refuse(
        client,
        '403 Forbidden',
        `This proxy reaches only the sandbox's API servers: ${Object.keys(config.targets).join(', ')}\n`,
      );
      return;
    }
    join(client, head, socketPath, (error) => {
      logger.warn('API server does not answer', { target, error: messageOf(error) });
      refuse(
        client,
        '502 Bad Gateway',
        `The API server ${target} of the sandbox does not answer: ${messageOf(error)}\n`,
      );
    });
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

/**
 * A proxy on 127.0.0.1 that understands HTTP CONNECT to the addresses of `targets` and nothing else, so that the host
 * uses the same URLs of the API servers as the nodes do.
 */
export async function startRelay(config: Pick<RelayConfig, 'port' | 'targets'>, logger: Logger): Promise<Relay> {
  const clients = new Set<Duplex>();
  const server = createServer((_request, response) => {
    response.writeHead(405, { 'content-type': 'text/plain' });
    response.end(`Only CONNECT to ${Object.keys(config.targets).join(', ')}\n`);
  });
  server.on('connection', (client: Duplex) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
  });
  server.on('connect', onConnect(config, logger));
  const port = await listen(server, config.port);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const client of clients) client.destroy();
      }),
  };
}

/** Runs the proxy until the signal is aborted. */
export async function runRelay(config: RelayConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  const relay = await startRelay(config, logger);
  writeFileAtomically(config.portFile, String(relay.port));
  logger.info('proxy ready', { port: relay.port, targets: Object.keys(config.targets).join(',') });
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await relay.close();
}
