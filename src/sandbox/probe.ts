import { request } from 'node:http';
import { connect } from 'node:net';
import { messageOf } from '../runtime/errors.ts';

/** What a request to an echo server brought. */
export interface ProbeResult {
  readonly url: string;
  readonly ok: boolean;
  /** The source address the server saw. */
  readonly clientIP?: string;
  /** Node and pod that answered. */
  readonly node?: string;
  readonly pod?: string;
  readonly cluster?: string;
  /** Time of a TCP handshake, in milliseconds. */
  readonly rttMs?: number;
  readonly error?: string;
}

interface EchoAnswer {
  readonly cluster?: string;
  readonly node?: string;
  readonly pod?: string;
  readonly clientIP?: string;
}

function get(url: string, timeoutMs: number): Promise<EchoAnswer> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: false, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as EchoAnswer);
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    call.on('error', reject);
    call.end();
  });
}

function handshakeMs(url: string, timeoutMs: number): Promise<number> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    const socket = connect({ host: hostname.replaceAll(/^\[|\]$/g, ''), port: Number(port || 80), timeout: timeoutMs });
    socket.once('connect', () => {
      resolve(performance.now() - startedMs);
      socket.destroy();
    });
    socket.once('timeout', () => socket.destroy(new Error('no TCP handshake in time')));
    socket.once('error', reject);
  });
}

/** Asks one echo server who it saw; never rejects. */
export async function probe(url: string, timeoutMs: number): Promise<ProbeResult> {
  try {
    const answer = await get(url, timeoutMs);
    const rttMs = await handshakeMs(url, timeoutMs);
    return { url, ok: true, rttMs: Math.round(rttMs * 1000) / 1000, ...pick(answer) };
  } catch (error) {
    return { url, ok: false, error: messageOf(error) };
  }
}

function pick({ cluster, node, pod, clientIP }: EchoAnswer): Partial<ProbeResult> {
  return Object.fromEntries(
    Object.entries({ cluster, node, pod, clientIP }).filter(([, value]) => typeof value === 'string'),
  );
}

/** Asks every URL, one after the other, and writes one line of JSON for each answer. `--timeout MS` limits each (default 5000). */
export async function runProbe(args: readonly string[], write: (line: string) => void): Promise<void> {
  const at = args.indexOf('--timeout');
  const timeoutMs = at === -1 ? 5000 : Number(args[at + 1]);
  const urls = args.filter((_, index) => at === -1 || (index !== at && index !== at + 1));
  for (const url of urls) write(`${JSON.stringify(await probe(url, timeoutMs))}\n`);
}
