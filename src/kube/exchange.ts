import { request as httpRequest, type Agent, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { KubeApiError, KubeConnectionError, type KubeAttempt, type KubeStatus } from './errors.ts';

/** Where a server is and how its TLS is done; all PEM texts. */
export interface ServerOptions {
  readonly server: string;
  readonly ca?: string | undefined;
  /** When the server's certificate is not of `ca`, try the system's CAs, as upstream does for the broker. */
  readonly alsoSystemCas?: boolean | undefined;
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly insecure?: boolean | undefined;
  /** The name the server's certificate must be for, when not the host of the URL. */
  readonly tlsServerName?: string | undefined;
  /** Connect to this unix socket; the server's URL gives protocol and path only. */
  readonly socketPath?: string | undefined;
  /** HTTP proxy (`http://host:port`) that a tunnel to the server is opened through (CONNECT); a kubeconfig's proxy-url. */
  readonly proxyUrl?: string | undefined;
  /** Default 30 000; does not limit watches once they are open. */
  readonly requestTimeoutMs?: number | undefined;
  /** While watches are open and the server says nothing for so long, it is asked whether it lives; default: never. */
  readonly livenessMs?: number | undefined;
  /** Where these options come from, for messages: "context east". */
  readonly source?: string | undefined;
}

export interface HttpCall {
  readonly method: string;
  /** Path and query below the server's URL. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
  /** The body comes bit by bit: no time limit after the headers, connection of its own. */
  readonly stream?: boolean;
  /** Instead of the server's own limit. */
  readonly timeoutMs?: number;
  readonly accept?: string;
}

type Headers = Readonly<Record<string, string | string[]>>;

/** A request failed because the server had closed the kept-alive connection it was sent on. */
export class StaleConnectionError extends KubeConnectionError {}

/** What a call tries, for messages (without the query). */
export function attemptOf(options: ServerOptions, call: HttpCall): KubeAttempt {
  const [path = call.path] = call.path.split('?');
  return { server: options.server, method: call.method, path, source: options.source };
}

/** The error an aborted signal stands for. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new DOMException('aborted', 'AbortError');
}

/** One request; the response when its status is below 300. Rejects with KubeApiError, KubeConnectionError or the signal's reason. */
export async function exchange(
  options: ServerOptions,
  agent: Agent,
  headers: Headers,
  call: HttpCall,
): Promise<IncomingMessage> {
  if (call.signal?.aborted === true) throw reasonOf(call.signal);
  const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
  const response = await send(options, requestSettings(options, agent, headers, call, body), body, call);
  const code = response.statusCode ?? 0;
  if (code < 300) return response;
  const attempt = attemptOf(options, call);
  const status = parseStatus(await readText(response, call, attempt));
  throw new KubeApiError(code, withRetryAfter(status, response.headers['retry-after']), attempt);
}

function requestSettings(
  options: ServerOptions,
  agent: Agent,
  headers: Headers,
  call: HttpCall,
  body: Buffer | undefined,
): RequestOptions {
  const base = new URL(options.server);
  const bodyHeaders =
    body === undefined
      ? {}
      : { 'content-type': call.contentType ?? 'application/json', 'content-length': String(body.length) };
  return {
    ...socketTarget(options, base),
    ...tlsSettings(options),
    agent,
    method: call.method,
    path: base.pathname.replace(/\/$/, '') + call.path,
    headers: {
      host: base.host,
      accept: call.accept ?? 'application/json',
      'user-agent': 'subctl',
      ...headers,
      ...bodyHeaders,
    },
    timeout: call.timeoutMs ?? options.requestTimeoutMs ?? 30_000,
  };
}

function socketTarget(options: ServerOptions, base: URL): RequestOptions {
  if (options.socketPath !== undefined) return { socketPath: options.socketPath };
  const port = base.port === '' ? (base.protocol === 'https:' ? 443 : 80) : Number(base.port);
  return { host: base.hostname.replaceAll(/^\[|\]$/g, ''), port };
}

/** The TLS options of a server, for node:tls and everything made of it. */
export function tlsSettings(options: ServerOptions): Readonly<Record<string, string | boolean>> {
  const settings = {
    ca: options.ca,
    cert: options.clientCert,
    key: options.clientKey,
    servername: options.tlsServerName,
    rejectUnauthorized: options.insecure === true ? false : undefined,
  };
  return Object.fromEntries(
    Object.entries(settings).filter((entry): entry is [string, string | boolean] => entry[1] !== undefined),
  );
}

function send(
  options: ServerOptions,
  settings: RequestOptions,
  body: Buffer | undefined,
  call: HttpCall,
): Promise<IncomingMessage> {
  const attempt = attemptOf(options, call);
  return new Promise((resolve, reject) => {
    const start = options.server.startsWith('https:') ? httpsRequest : httpRequest;
    const request = start(settings, (response) => {
      clearTimeout(timer);
      if (call.stream === true) request.setTimeout(0);
      response.once('end', whole);
      resolve(response);
    });
    // Not node's own `signal`: a caller that aborts once it has its answer would take the kept-alive connection away.
    const abort = (): void => void request.destroy(call.signal === undefined ? undefined : reasonOf(call.signal));
    const whole = (): void => call.signal?.removeEventListener('abort', abort);
    call.signal?.addEventListener('abort', abort);
    request.once('close', whole);
    const giveUp = (): void => {
      const error = timeoutError(settings.timeout);
      request.destroy(error);
      reject(new KubeConnectionError(error, attempt));
    };
    // Node's own timeout starts with the TLS session, which a stopped server behind a proxy never makes; nor is there an error.
    const timer = (settings.timeout ?? 0) > 0 ? setTimeout(giveUp, settings.timeout) : undefined;
    request.once('close', () => clearTimeout(timer));
    request.on('timeout', giveUp);
    request.on('error', (error: Error) => {
      if (call.signal?.aborted === true) reject(reasonOf(call.signal));
      else if (request.reusedSocket && isReset(error)) reject(new StaleConnectionError(error, attempt));
      else reject(new KubeConnectionError(error, attempt));
    });
    request.end(body);
  });
}

function timeoutError(ms: number | undefined): Error {
  return Object.assign(new Error(`no answer within ${(ms ?? 0) / 1000} s`), { code: 'ETIMEDOUT' });
}

function isReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/** The whole body of a response; rejects with KubeConnectionError when it breaks off, or with the signal's reason. */
export async function readText(response: IncomingMessage, call: HttpCall, attempt: KubeAttempt): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    if (call.signal?.aborted === true) throw reasonOf(call.signal);
    throw new KubeConnectionError(error, attempt);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The Status in the body of an error; whatever else stands there (a proxy's page) becomes its message. */
function parseStatus(text: string): KubeStatus {
  try {
    const parsed = JSON.parse(text) as KubeStatus & { readonly kind?: string };
    if (parsed.kind === 'Status') return parsed;
  } catch {
    // not JSON
  }
  return { message: text.trim().slice(0, 300) || 'empty answer' };
}

function withRetryAfter(status: KubeStatus, header: string | undefined): KubeStatus {
  const seconds = Number(header);
  if (header === undefined || !Number.isFinite(seconds)) return status;
  return { ...status, details: { ...status.details, retryAfterSeconds: seconds } };
}
