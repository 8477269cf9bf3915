import { createSocket, type RemoteInfo } from 'node:dgram';
import { createServer } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import type { Logger } from '../../runtime/logger.ts';
import { closed, listening } from './listening.ts';

/** Who answers, and where. */
export interface EchoConfig {
  readonly cluster: string;
  readonly node: string;
  readonly pod: string;
  /** TCP and UDP; default 8080. The next one gives back, byte by byte, what it gets. */
  readonly port?: number;
}

/** What an echo server answers, as JSON. */
export interface EchoAnswer {
  readonly cluster: string;
  readonly node: string;
  readonly pod: string;
  /** The source address of the request as the server saw it. */
  readonly clientIP: string;
}

const PORT = 8080;

/** The configuration of an echo server from the environment of its pod: CLUSTER, NODE_NAME, POD_NAME, PORT. */
export function echoConfig(env: Readonly<Record<string, string | undefined>>): EchoConfig {
  const { CLUSTER = '', NODE_NAME = '', POD_NAME = env['HOSTNAME'] ?? '', PORT: port } = env;
  return { cluster: CLUSTER, node: NODE_NAME, pod: POD_NAME, ...(port === undefined ? {} : { port: Number(port) }) };
}

/** Gives back what it gets, on TCP and UDP (RFC 862), until the signal is aborted. */
async function serveBytes(port: number, signal: AbortSignal): Promise<void> {
  const clients = new Set<Socket>();
  const tcp = createTcpServer({ noDelay: true }, (socket) => {
    clients.add(socket);
    socket.on('close', () => clients.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  const udp = createSocket('udp4');
  udp.on('message', (message, from) => udp.send(message, from.port, from.address, () => undefined));
  tcp.listen(port, '0.0.0.0');
  udp.bind(port);
  await Promise.all([listening(tcp), listening(udp)]);
  const close = (): void => {
    udp.close();
    tcp.close();
    for (const client of clients) client.destroy();
  };
  signal.addEventListener('abort', close, { once: true });
}

/**
 * Answers every HTTP request and every UDP datagram with an EchoAnswer until the signal is aborted. A datagram's answer
 * has its text too, under `text`. The port after it gives back what it gets.
 */
export async function runEcho(config: EchoConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  const { cluster, node, pod, port = PORT } = config;
  const answer = (address: string | undefined): EchoAnswer => ({
    cluster,
    node,
    pod,
    clientIP: (address ?? '').replace(/^::ffff:/, ''),
  });
  const http = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify(answer(request.socket.remoteAddress))}\n`);
  });
  const udp = createSocket('udp4');
  udp.on('message', (message: Buffer, from: RemoteInfo) => {
    const text = message.toString().trimEnd();
    udp.send(`${JSON.stringify({ ...answer(from.address), text })}\n`, from.port, from.address);
  });
  http.listen(port, '0.0.0.0');
  udp.bind(port);
  await Promise.all([listening(http), listening(udp), serveBytes(port + 1, signal)]);
  logger.info('echo server ready', { port });
  await closed(signal);
  udp.close();
  http.close();
  http.closeAllConnections();
}

/** Does nothing until the signal is aborted: a pod to run programs in. */
export async function runClient(signal: AbortSignal): Promise<void> {
  await closed(signal);
}
