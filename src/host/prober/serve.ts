import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once, type EventEmitter } from 'node:events';
import { isMeasurement, Measured } from './attend.ts';
import { parseDatagram, type TcpAnswer, type TcpAsk } from './protocol.ts';

/** Where the prober answers. */
export interface ServeOptions {
  readonly tcpPort: number;
  readonly udpPorts: readonly number[];
  readonly address?: string;
}

/** Sessions that are remembered; the oldest are forgotten. */
const MAX_SESSIONS = 1000;
const MAX_LINE_BYTES = 1000;
const MAX_BYTES = 16 * 1024 * 1024;
const IDLE_MS = 10_000;

interface Session {
  readonly numbers: Set<number>;
  readonly clientIP: string;
}

/** What has arrived over UDP, by session. */
class Sessions {
  readonly #sessions = new Map<string, Session>();

  note(session: string, number: number, clientIP: string): void {
    const known = this.#sessions.get(session) ?? { numbers: new Set(), clientIP };
    known.numbers.add(number);
    this.#sessions.set(session, known);
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
  }

  answer(session: string): TcpAnswer['session'] {
    const known = this.#sessions.get(session);
    return known === undefined
      ? { numbers: [], clientIP: '' }
      : { numbers: [...known.numbers], clientIP: known.clientIP };
  }
}

function parseAsk(line: string): TcpAsk | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(value: number | undefined): number {
  return Number.isSafeInteger(value) ? Math.min(Math.max(value ?? 0, 0), MAX_BYTES) : 0;
}

/** One conversation; a client that says nothing sensible is cut off. */
function converse(socket: TcpSocket, sessions: Sessions, measured: Measured): void {
  let head = Buffer.alloc(0);
  let ask: TcpAsk | undefined;
  let received = 0;
  const answer = (): void => {
    if (ask === undefined || received < bytesOf(ask.up)) return;
    const clientIP = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const session = ask.session === undefined ? undefined : sessions.answer(ask.session);
    const line: TcpAnswer = { clientIP, received, session };
    socket.end(Buffer.concat([Buffer.from(`${JSON.stringify(line)}\n`), Buffer.alloc(bytesOf(ask.down))]));
    ask = undefined;
  };
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on('error', () => undefined);
  let hasAsked = false;
  const take = (chunk: Buffer): void => {
    if (hasAsked) received += chunk.length;
    else {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\n');
      if (end === -1 && head.length <= MAX_LINE_BYTES) return;
      ask = parseAsk(head.subarray(0, end === -1 ? 0 : end).toString('utf8'));
      hasAsked = true;
      received = head.length - end - 1;
      if (ask === undefined) socket.destroy();
      else if (isMeasurement(ask)) {
        socket.off('data', take);
        void measured.attend(socket, ask, head.subarray(end + 1));
        return;
      }
    }
    answer();
  };
  socket.on('data', take);
}

async function bindUdp(port: number, address: string, sessions: Sessions): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.on('message', (datagram, from) => {
    const parsed = parseDatagram(datagram);
    if (parsed === undefined) return;
    sessions.note(parsed.session, parsed.number, from.address);
    socket.send(datagram, from.port, from.address, () => undefined);
  });
  socket.bind(port, address);
  await listening(socket);
  socket.on('error', () => undefined);
  return socket;
}

async function listening(server: EventEmitter): Promise<void> {
  await once(server, 'listening');
}

/** Answers until the signal is aborted; rejects when a port cannot be had. `onReady` is told the ports. */
export async function serveProbes(
  options: ServeOptions,
  signal: AbortSignal,
  onReady: (ports: { readonly tcp: number; readonly udp: readonly number[] }) => void,
): Promise<void> {
  const { tcpPort, udpPorts, address = '0.0.0.0' } = options;
  const sessions = new Sessions();
  const measured = new Measured();
  const clients = new Set<TcpSocket>();
  const server: Server = createServer((socket) => {
    clients.add(socket);
    socket.on('close', () => clients.delete(socket));
    converse(socket, sessions, measured);
  });
  const udp: UdpSocket[] = [];
  try {
    server.listen(tcpPort, address);
    await listening(server);
    for (const port of udpPorts) udp.push(await bindUdp(port, address, sessions));
    const bound = server.address();
    onReady({
      tcp: typeof bound === 'object' && bound !== null ? bound.port : tcpPort,
      udp: udp.map((socket) => socket.address().port),
    });
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    for (const socket of udp) socket.close();
    server.close();
    for (const socket of clients) socket.destroy();
  }
}
