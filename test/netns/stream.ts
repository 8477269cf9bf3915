import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { patient } from './patience.ts';

/** What a stream saw. */
export interface StreamResult {
  readonly sent: number;
  /** Datagrams whose echo came back. */
  readonly answered: number;
  /** Longest time between two echoes. */
  readonly longestGapMs: number;
  /** Lines sent and echoed through the one TCP connection. */
  readonly tcpSent: number;
  readonly tcpAnswered: number;
  /** Why the TCP connection ended; empty while it lives. */
  readonly tcpEnd: string;
}

/** So long what is under way is waited for: after an outage TCP tries again only when as much time has passed once more. */
const LINGER_MS = patient(5000);

const SERVER = `
const dgram = require('node:dgram'), net = require('node:net');
const udp = dgram.createSocket('udp4');
udp.on('message', (m, from) => udp.send(m, from.port, from.address));
udp.bind(9000);
net.createServer((c) => { c.on('error', () => {}); c.pipe(c); }).listen(9000, '0.0.0.0', () => console.log('ready'));
`;

const CLIENT = `
const dgram = require('node:dgram'), net = require('node:net');
const [address, lingerMs] = process.argv.slice(1);
const udp = dgram.createSocket('udp4');
const seen = new Set();
let sent = 0, tcpSent = 0, tcpAnswered = 0, tcpEnd = '', last = 0, gap = 0, stopping = false;
udp.on('message', (m) => {
  seen.add(String(m));
  const now = performance.now();
  if (last !== 0) gap = Math.max(gap, now - last);
  last = now;
});
udp.on('error', () => {});
const tcp = net.connect(9000, address, () => console.log('ready'));
tcp.setNoDelay(true);
tcp.on('data', (d) => { tcpAnswered += String(d).split('\\n').length - 1; });
tcp.on('error', (e) => { tcpEnd = e.message; });
tcp.on('close', () => { tcpEnd ||= 'closed'; });
setInterval(() => {
  if (stopping) return;
  udp.send(String(sent), 9000, address, () => {});
  sent += 1;
  if (tcpEnd === '' && !tcp.pending) { tcp.write(tcpSent + '\\n'); tcpSent += 1; }
}, 10);
setInterval(() => console.log('count ' + seen.size), 50);
process.on('SIGTERM', () => {
  stopping = true;
  const end = performance.now() + Number(lingerMs);
  setInterval(() => {
    if ((seen.size < sent || tcpAnswered < tcpSent) && performance.now() < end) return;
    console.log('result ' + JSON.stringify({ sent, answered: seen.size, longestGapMs: Math.round(gap), tcpSent, tcpAnswered, tcpEnd }));
    process.exit(0);
  }, 20);
});
`;

/** 100 datagrams a second with sequence numbers and one TCP connection, from one network namespace to another and back. */
export class Stream {
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;
  #said = '';
  #result: Promise<StreamResult> | undefined;

  private constructor(server: ChildProcess, client: ChildProcess) {
    this.#server = server;
    this.#client = client;
    client.stdout?.on('data', (chunk) => (this.#said += String(chunk)));
  }

  /** Resolves when the TCP connection is there. */
  static async start(from: string, to: string, address: string): Promise<Stream> {
    const node = (namespace: string, script: string, ...args: readonly string[]): ChildProcess =>
      spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script, ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const server = node(to, SERVER);
    if (server.stdout !== null) await once(server.stdout, 'data');
    const stream = new Stream(server, node(from, CLIENT, address, String(LINGER_MS)));
    while (!stream.#said.includes('ready')) {
      const { stdout } = stream.#client;
      if (stdout !== null) await once(stdout, 'data');
      if (stream.#client.exitCode !== null) throw new Error('the stream does not start');
    }
    return stream;
  }

  /** Datagrams that came back so far. */
  get answered(): number {
    return Number([...this.#said.matchAll(/count (\d+)/g)].at(-1)?.[1] ?? 0);
  }

  /** Stops sending and waits a moment for what is still on its way; any further time gives the same. */
  async stop(): Promise<StreamResult> {
    this.#result ??= this.#end();
    return this.#result;
  }

  async #end(): Promise<StreamResult> {
    const ended = once(this.#client, 'close');
    this.#client.kill('SIGTERM');
    await ended;
    this.#server.kill('SIGKILL');
    return JSON.parse(/result (.*)/.exec(this.#said)?.[1] ?? '{}') as StreamResult;
  }
}
