import type { WebSocket } from 'ws';
import type { ExecOptions, ExecResult } from './client.ts';
import type { Credentials } from './credentials.ts';
import { KubeApiError, KubeConnectionError, type KubeStatus } from './errors.ts';
import { reasonOf, tlsSettings, type ServerOptions } from './exchange.ts';
import { connectionPool } from './transport.ts';

/** What to run where. */
export interface ExecCall extends ExecOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly command: readonly string[];
}

/** Exit status as channel 3 of the remote command protocol reports it. */
interface ExecStatus extends KubeStatus {
  readonly status?: string;
}

/** v4 is what API servers before Kubernetes 1.30 speak; it cannot end standard input. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

type Attempt = KubeConnectionError['attempt'];

/** Stdin, stdout, stderr, status: what came on each channel. */
type Channels = readonly [Buffer[], Buffer[], Buffer[], Buffer[]];

/**
 * Runs a command in a pod over a WebSocket (remote command protocol v5.channel.k8s.io: the first byte of a message is
 * its channel: 1 stdout, 2 stderr, 3 status). Rejects when the command could not be started or gave no status in time.
 */
export async function execInPod(options: ServerOptions, credentials: Credentials, call: ExecCall): Promise<ExecResult> {
  const { WebSocket } = await import('ws');
  const path = `/api/v1/namespaces/${encodeURIComponent(call.namespace)}/pods/${encodeURIComponent(call.pod)}/exec`;
  const attempt = { server: options.server, method: 'EXEC', path, source: options.source };
  const socket = new WebSocket(`${webSocketBase(options)}${path}?${queryOf(call).toString()}`, PROTOCOLS, {
    headers: await credentials.headers(),
    handshakeTimeout: options.requestTimeoutMs ?? 30_000,
    ...(options.proxyUrl === undefined ? {} : { agent: connectionPool(options, 1) }),
    ...tlsSettings(options),
  });
  const output: Channels = [[], [], [], []];
  const limit = AbortSignal.timeout(call.timeoutMs ?? 60_000);
  let cancel = (): void => undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      limit.addEventListener('abort', () => reject(new KubeConnectionError(timedOut(call), attempt)));
      cancel = () => reject(new KubeConnectionError(new Error('cancelled'), attempt));
      call.signal?.addEventListener('abort', cancel);
      if (call.signal?.aborted === true) cancel();
      converse(socket, call, output);
      socket.on('close', () => resolve());
      socket.on('error', (error: Error) => reject(new KubeConnectionError(error, attempt)));
      onRefusal(socket, attempt, reject);
    });
  } finally {
    call.signal?.removeEventListener('abort', cancel);
    socket.terminate();
  }
  const [, stdout, stderr, status] = output.map((chunks) => Buffer.concat(chunks).toString('utf8'));
  if (limit.aborted) throw reasonOf(limit);
  return { exitCode: exitCodeOf(status ?? '', attempt), stdout: stdout ?? '', stderr: stderr ?? '' };
}

function queryOf(call: ExecCall): URLSearchParams {
  const query = new URLSearchParams({ stdout: 'true', stderr: 'true' });
  if (call.stdin !== undefined) query.set('stdin', 'true');
  if (call.container !== undefined) query.set('container', call.container);
  for (const argument of call.command) query.append('command', argument);
  return query;
}

/** Collects what the program says and gives it its input. */
function converse(socket: WebSocket, { stdin, onStdout }: ExecCall, output: Channels): void {
  if (stdin !== undefined) socket.on('open', () => void feed(socket, stdin));
  socket.on('message', (data: Buffer) => {
    output[data[0] ?? 0]?.push(data.subarray(1));
    if (data[0] === 1) onStdout?.(data.subarray(1).toString('utf8'));
  });
}

/** Rejects with what the server says when it does not upgrade the connection. */
function onRefusal(socket: WebSocket, attempt: Attempt, reject: (error: Error) => void): void {
  socket.on('unexpected-response', (_request, response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      reject(new KubeApiError(response.statusCode ?? 0, refusalOf(text), attempt));
    });
  });
}

/** Channel 0 is standard input; 255 closes the channel it names (v5). */
async function feed(socket: WebSocket, stdin: Promise<string>): Promise<void> {
  const text = await stdin.catch(() => '');
  if (socket.readyState !== socket.OPEN) return;
  if (text !== '') socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(text)]));
  if (socket.protocol === PROTOCOLS[0]) socket.send(Buffer.from([255, 0]));
}

function webSocketBase(options: ServerOptions): string {
  const base = options.server.replace(/^http/, 'ws').replace(/\/$/, '');
  if (options.socketPath === undefined) return base;
  const path = new URL(options.server).pathname.replace(/\/$/, '');
  return `ws+unix://${options.socketPath}:${path}`;
}

function timedOut(call: ExecCall): Error {
  const text = `"${call.command.join(' ')}" did not end within ${(call.timeoutMs ?? 60_000) / 1000} s`;
  return Object.assign(new Error(text), { code: 'EXEC_TIMEOUT' });
}

function refusalOf(text: string): KubeStatus {
  try {
    return JSON.parse(text) as KubeStatus;
  } catch {
    return { message: text.trim().slice(0, 300) || 'no WebSocket upgrade' };
  }
}

function exitCodeOf(text: string, attempt: Attempt): number {
  if (text === '') {
    throw new KubeConnectionError(new Error('the connection ended before the command did'), attempt);
  }
  const status = JSON.parse(text) as ExecStatus;
  if (status.status === 'Success') return 0;
  const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message;
  if (status.reason !== 'NonZeroExitCode' || code === undefined) throw new KubeApiError(500, status, attempt);
  return Number(code);
}
