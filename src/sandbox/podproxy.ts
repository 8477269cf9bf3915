import { spawn } from 'node:child_process';
import { createReadStream, existsSync, readFileSync, statSync, watch } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { WebSocket } from 'ws';
import type { KubeClient } from '../kube/client.ts';
import { isNotFound } from '../kube/errors.ts';
import type { Pod } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { messageOf } from '../runtime/errors.ts';
import type { PodRequest } from './apiserver/server.ts';
import { execInPod } from './exec.ts';
import type { SandboxPlan } from './plan.ts';
import { logFile } from './pods/record.ts';

/** What stands behind pods/log and pods/exec of one cluster. */
export interface PodProxyOptions {
  readonly plan: SandboxPlan;
  readonly cluster: string;
  /** The directory of a node. */
  readonly nodeDir: (node: string) => string;
  readonly client: KubeClient;
}

const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

function refuse(response: ServerResponse, code: number, reason: string, message: string): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(
    `${JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code })}\n`,
  );
}

function lastLines(text: string, count: number): string {
  const lines = text.split('\n');
  const ended = lines.at(-1) === '' ? 1 : 0;
  return lines.slice(Math.max(0, lines.length - ended - count)).join('\n');
}

/** Sends what is appended to a file until the reader goes away. */
function follow(file: string, from: number, response: ServerResponse): void {
  let at = from;
  const sendMore = (): void => {
    const { size } = statSync(file);
    if (size <= at) return;
    createReadStream(file, { start: at, end: size - 1 }).pipe(response, { end: false });
    at = size;
  };
  const watcher = watch(file, sendMore);
  response.on('close', () => watcher.close());
  sendMore();
}

async function sendLog(options: PodProxyOptions, request: PodRequest, response: ServerResponse): Promise<void> {
  const { namespace, name, query } = request;
  const pod = await options.client.get<Pod>(RESOURCES.pods, name, { namespace });
  const container = query.get('container') ?? pod.spec.containers[0]?.name ?? '';
  const file = logFile(options.nodeDir(pod.spec.nodeName ?? ''), namespace, name, container);
  if (query.get('previous') === 'true')
    return refuse(response, 400, 'BadRequest', 'a sandbox keeps one log for all runs of a container');
  if (!existsSync(file))
    return refuse(response, 400, 'BadRequest', `container "${container}" in pod "${name}" has not started`);
  const text = readFileSync(file, 'utf8');
  const tail = query.get('tailLines');
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.write(tail === null ? text : lastLines(text, Number(tail)));
  if (query.get('follow') === 'true') follow(file, Buffer.byteLength(text), response);
  else response.end();
}

interface ExitStatus {
  readonly status: 'Success' | 'Failure';
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes: readonly { readonly reason: string; readonly message: string }[] };
}

function exitStatus(code: number | null): ExitStatus {
  if (code === 0) return { status: 'Success' };
  const message = `command terminated with non-zero exit code: exit status ${code ?? 137}`;
  return {
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message,
    details: { causes: [{ reason: 'ExitCode', message: String(code ?? 137) }] },
  };
}

function runOverSocket(options: PodProxyOptions, request: PodRequest, socket: WebSocket): void {
  const send = (channel: number, data: Buffer): void => socket.send(Buffer.concat([Buffer.from([channel]), data]));
  const finish = (status: ExitStatus): void => {
    send(3, Buffer.from(JSON.stringify({ metadata: {}, ...status })));
    socket.close(1000);
  };
  const { namespace, name: pod, query } = request;
  const container = query.get('container');
  const target = { cluster: options.cluster, namespace, pod, ...(container === null ? {} : { container }) };
  try {
    const { command, env } = execInPod(options.plan, target, options.nodeDir, query.getAll('command'));
    const [file = '', ...args] = command;
    const child = spawn(file, args, { env: { ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdout.on('data', (data: Buffer) => send(1, data));
    child.stderr.on('data', (data: Buffer) => send(2, data));
    child.once('error', (error) => finish({ status: 'Failure', reason: 'InternalError', message: messageOf(error) }));
    child.once('close', (code) => finish(exitStatus(code)));
    child.stdin.on('error', () => undefined);
    if (query.get('stdin') !== 'true') child.stdin.end();
    socket.on('message', (data: Buffer) => {
      if (data[0] === 0) child.stdin.write(data.subarray(1));
      // Protocol v5: channel 255 closes the channel it names.
      if (data[0] === 255 && data[1] === 0) child.stdin.end();
    });
    socket.on('close', () => child.kill('SIGKILL'));
  } catch (error) {
    finish({ status: 'Failure', reason: 'InternalError', message: messageOf(error) });
  }
}

async function upgradeAndRun(options: PodProxyOptions, request: PodRequest): Promise<void> {
  const { socket, head } = request;
  if (socket === undefined) return;
  const { WebSocketServer } = await import('ws');
  const choose = (offered: Set<string>): string | false => PROTOCOLS.find((one) => offered.has(one)) ?? false;
  const server = new WebSocketServer({ noServer: true, handleProtocols: choose });
  server.handleUpgrade(request.request, socket, head ?? Buffer.alloc(0), (ws) => runOverSocket(options, request, ws));
}

/**
 * Serves pods/log (tailLines, follow) and pods/exec (WebSocket, without a terminal) from the files and processes of this
 * machine; other subresources of pods are refused.
 */
export function createPodProxy(options: PodProxyOptions): (request: PodRequest) => void {
  const serve = async (request: PodRequest): Promise<void> => {
    const { response, subresource } = request;
    if (response === undefined) {
      if (subresource === 'exec') await upgradeAndRun(options, request);
      else request.socket?.end('HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\n');
      return;
    }
    if (subresource !== 'log')
      return refuse(response, 501, 'NotImplemented', `a sandbox does not serve pods/${subresource} this way`);
    try {
      await sendLog(options, request, response);
    } catch (error) {
      refuse(
        response,
        isNotFound(error) ? 404 : 500,
        isNotFound(error) ? 'NotFound' : 'InternalError',
        messageOf(error),
      );
    }
  };
  return (request) => {
    serve(request).catch(() => (request.socket ?? request.response)?.destroy());
  };
}
