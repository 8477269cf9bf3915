import type { ExecResult } from './client.ts';
import type { Credentials } from './credentials.ts';
import { KubeApiError, KubeConnectionError, type KubeStatus } from './errors.ts';
import { reasonOf, tlsSettings, type ServerOptions } from './exchange.ts';
import { connectionPool } from './transport.ts';

/** What to run where. */
export interface ExecCall {
  readonly namespace: string;
  readonly pod: string;
  readonly command: readonly string[];
  readonly container?: string;
  /** Default 60 000. */
  readonly timeoutMs?: number;
}

/** Exit status as channel 3 of the remote command protocol reports it. */
interface ExecStatus extends KubeStatus {
  readonly status?: string;
}

const PROTOCOL = 'v5.channel.k8s.io';

/**
 * Runs a command in a pod over a WebSocket (remote command protocol v5.channel.k8s.io: the first byte of a message is
 * its channel: 1 stdout, 2 stderr, 3 status). Rejects when the command could not be started or gave no status in time.
 */
export async function execInPod(options: ServerOptions, credentials: Credentials, call: ExecCall): Promise<ExecResult> {
  const { WebSocket } = await import('ws');
  const query = new URLSearchParams({ stdout: 'true', stderr: 'true' });
  if (call.container !== undefined) query.set('container', call.container);
  for (const argument of call.command) query.append('command', argument);
  const path = `/api/v1/namespaces/${encodeURIComponent(call.namespace)}/pods/${encodeURIComponent(call.pod)}/exec`;
  const attempt = { server: options.server, method: 'EXEC', path, source: options.source };
  const socket = new WebSocket(`${webSocketBase(options)}${path}?${query.toString()}`, [PROTOCOL], {
    headers: await credentials.headers(),
    handshakeTimeout: options.requestTimeoutMs ?? 30_000,
    ...(options.proxyUrl === undefined ? {} : { agent: connectionPool(options, 1) }),
    ...tlsSettings(options),
  });
  const output: [Buffer[], Buffer[], Buffer[], Buffer[]] = [[], [], [], []];
  const limit = AbortSignal.timeout(call.timeoutMs ?? 60_000);
  try {
    await new Promise<void>((resolve, reject) => {
      limit.addEventListener('abort', () => reject(new KubeConnectionError(timedOut(call), attempt)));
      socket.on('message', (data: Buffer) => output[data[0] ?? 0]?.push(data.subarray(1)));
      socket.on('close', () => resolve());
      socket.on('error', (error: Error) => reject(new KubeConnectionError(error, attempt)));
      socket.on('unexpected-response', (_request, response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          reject(new KubeApiError(response.statusCode ?? 0, refusalOf(text), attempt));
        });
      });
    });
  } finally {
    socket.terminate();
  }
  const [, stdout, stderr, status] = output.map((chunks) => Buffer.concat(chunks).toString('utf8'));
  if (limit.aborted) throw reasonOf(limit);
  return { exitCode: exitCodeOf(status ?? '', attempt), stdout: stdout ?? '', stderr: stderr ?? '' };
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

function exitCodeOf(text: string, attempt: KubeConnectionError['attempt']): number {
  if (text === '') {
    throw new KubeConnectionError(new Error('the connection ended before the command did'), attempt);
  }
  const status = JSON.parse(text) as ExecStatus;
  if (status.status === 'Success') return 0;
  const code = status.details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message;
  if (status.reason !== 'NonZeroExitCode' || code === undefined) throw new KubeApiError(500, status, attempt);
  return Number(code);
}
