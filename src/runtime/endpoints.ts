import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { withAbort } from './abort.ts';
import { systemClock, type Clock } from './clock.ts';
import type { ConfigReader } from './config.ts';
import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';
import { METRICS_CONTENT_TYPE, renderMetrics, type Metric } from './metrics.ts';

/** What a daemon tells of itself. */
export interface Telemetry {
  /** What keeps the daemon from its work; [] = ready. */
  unready(): readonly string[];
  /** What only a new process would mend; [] = alive. Nothing outside of the process may ever be a reason. */
  stuck(): readonly string[];
  metrics(signal: AbortSignal): Promise<readonly Metric[]>;
  /** As JSON can carry it, without secrets. */
  state(signal: AbortSignal): Promise<object>;
}

export interface EndpointsAddress {
  readonly host: string;
  /** 0 = any. */
  readonly port: number;
}

/** SUBMARINER_METRICSADDRESS (default 127.0.0.1) and SUBMARINER_METRICSPORT; undefined when the port is 0: no endpoints. */
export function readEndpointsAddress(read: ConfigReader, defaultPort: number): EndpointsAddress | undefined {
  const host = read.string('SUBMARINER_METRICSADDRESS', { default: '127.0.0.1' });
  const port = read.integer('SUBMARINER_METRICSPORT', { default: defaultPort, min: 0, max: 65_535 });
  return port === 0 ? undefined : { host, port };
}

export interface ServeOptions {
  /** Undefined: none are served. */
  readonly address: EndpointsAddress | undefined;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Told the port once it is served. */
  readonly onListening?: (port: number) => void;
}

const RETRY_MS = 15_000;
/** An observation of the node takes a fraction of a second; programs that hang are killed after 10 s. */
const ANSWER_MS = 15_000;
const MAX_CONNECTIONS = 16;

/**
 * Serves /healthz, /readyz, /metrics and /debug/state until aborted; never rejects. A port that is taken is warned of and
 * tried again: a daemon works without being looked at.
 *
 * INVARIANTS: nothing runs between two requests; requests that come while one is being answered share its answer;
 * /debug/state is for callers on this machine only, whatever the address.
 */
export async function serveEndpoints(telemetry: Telemetry, options: ServeOptions, signal: AbortSignal): Promise<void> {
  const { address, logger, clock = systemClock } = options;
  if (address === undefined) return;
  const { createServer } = await import('node:http');
  let told = '';
  while (!signal.aborted) {
    const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, responder(telemetry));
    server.maxConnections = MAX_CONNECTIONS;
    const problem = await listen(server, address);
    if (problem === undefined) {
      logger.info('serving health, metrics and state', { ...address, port: portOf(server) });
      options.onListening?.(portOf(server));
      await ended(server, signal);
      return;
    }
    if (problem !== told) logger.warn('cannot serve health, metrics and state, trying again', { ...address, problem });
    told = problem;
    await clock.sleep(RETRY_MS, signal);
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Undefined when it listens, else why not. */
function listen(server: Server, { host, port }: EndpointsAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    server.once('error', (error) => resolve(messageOf(error)));
    server.listen({ host, port }, () => resolve(undefined));
  });
}

function ended(server: Server, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const close = (): void => {
      signal.removeEventListener('abort', close);
      server.close(() => resolve());
      server.closeAllConnections();
    };
    signal.addEventListener('abort', close);
    if (signal.aborted) close();
  });
}

interface Answer {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

type Page = (socket: Socket) => Answer | Promise<Answer>;

const TEXT = 'text/plain; charset=utf-8';

function verdict(reasons: readonly string[]): Answer {
  if (reasons.length === 0) return { code: 200, type: TEXT, body: 'ok\n' };
  return { code: 503, type: TEXT, body: reasons.map((reason) => `${reason}\n`).join('') };
}

function responder(telemetry: Telemetry): (request: IncomingMessage, response: ServerResponse) => void {
  const metrics = shared(async (signal) => ({
    code: 200,
    type: METRICS_CONTENT_TYPE,
    body: renderMetrics(await telemetry.metrics(signal)),
  }));
  const state = shared(async (signal) => ({
    code: 200,
    type: 'application/json',
    body: `${JSON.stringify(await telemetry.state(signal))}\n`,
  }));
  const pages: Readonly<Record<string, Page>> = {
    '/': () => ({ code: 200, type: TEXT, body: '/healthz\n/readyz\n/metrics\n/debug/state\n' }),
    '/healthz': () => verdict(telemetry.stuck()),
    '/readyz': () => verdict(telemetry.unready()),
    '/metrics': metrics,
    '/debug/state': (socket) =>
      isOwnMachine(socket) ? state() : { code: 403, type: TEXT, body: 'only for callers on this machine\n' },
  };
  return (request, response) => {
    const page = pages[(request.url ?? '/').replace(/\?.*$/, '')];
    void respond(request, response, page);
  };
}

async function respond(request: IncomingMessage, response: ServerResponse, page: Page | undefined): Promise<void> {
  const { code, type, body } = await answer(request, page).catch((error: unknown): Answer => ({
    code: 500,
    type: TEXT,
    body: `${messageOf(error)}\n`,
  }));
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(request.method === 'HEAD' ? '' : body);
}

async function answer({ method, socket }: IncomingMessage, page: Page | undefined): Promise<Answer> {
  if (page === undefined) return { code: 404, type: TEXT, body: 'there is no such page\n' };
  if (method !== 'GET' && method !== 'HEAD') return { code: 405, type: TEXT, body: 'only GET and HEAD\n' };
  return page(socket);
}

function isOwnMachine({ remoteAddress, localAddress }: Socket): boolean {
  const from = (remoteAddress ?? '').replace(/^::ffff:/, '');
  return from.startsWith('127.') || from === '::1' || (from !== '' && remoteAddress === localAddress);
}

/** Callers that come while the answer is being made get the same one. */
function shared(make: (signal: AbortSignal) => Promise<Answer>): () => Promise<Answer> {
  let pending: Promise<Answer> | undefined;
  return () => {
    pending ??= withAbort(AbortSignal.timeout(ANSWER_MS), async ({ signal }) => make(signal)).finally(() => {
      pending = undefined;
    });
    return pending;
  };
}
