import { Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Backoff } from '../runtime/backoff.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { ExpectedError } from '../runtime/errors.ts';
import type { Credentials } from './credentials.ts';
import {
  KubeApiError,
  KubeConnectionError,
  isUnauthorized,
  isUntrustedCertificate,
  type KubeAttempt,
} from './errors.ts';
import {
  StaleConnectionError,
  attemptOf,
  exchange,
  readText,
  reasonOf,
  type HttpCall,
  type ServerOptions,
} from './exchange.ts';
import { Liveness } from './liveness.ts';

export interface TransportOptions extends ServerOptions {
  readonly clock?: Clock | undefined;
}

/** Requests over one pool of kept-alive connections per server. */
export interface Transport {
  /** The response once its status is below 300; rejects with KubeApiError, KubeConnectionError or the signal's reason. */
  open(call: HttpCall): Promise<IncomingMessage>;
  /** The whole body as text. */
  text(call: HttpCall): Promise<string>;
  /** To be called with an open stream: it breaks when the server gives no sign of life. The first result notes one, the second ends the guard. */
  guard(stream: IncomingMessage): { readonly heard: () => void; readonly end: () => void };
  /** What a call tries, for messages. */
  attempt(call: HttpCall): KubeAttempt;
  close(): void;
}

const MAX_RETRIES = 4;

/**
 * A transport on node:http(s). Repeats a request when a kept-alive connection turned out to be dead (not POST), when the
 * server asks to come back later (429 with Retry-After), and once with fresh credentials after 401.
 */
export function createTransport(options: TransportOptions, credentials: Credentials): Transport {
  const shortLived = connectionPool(options, 16);
  const streams = connectionPool(options, Number.POSITIVE_INFINITY);
  const clock = options.clock ?? systemClock;
  let trusted: ServerOptions = options;
  const send = async (server: ServerOptions, call: HttpCall): Promise<IncomingMessage> => {
    const pool = call.stream === true ? streams : shortLived;
    const response = await exchange(server, pool, await credentials.headers(), call);
    liveness?.heard();
    return response;
  };
  const open = async (call: HttpCall): Promise<IncomingMessage> => {
    const mayRetry = retryPolicy(call, credentials, clock);
    for (;;) {
      try {
        return await send(trusted, call);
      } catch (error) {
        if (isUntrusted(error) && options.alsoSystemCas === true && trusted.ca !== undefined) {
          trusted = { ...options, ca: undefined };
          continue;
        }
        if (!(await mayRetry(error))) throw error;
        if (call.signal?.aborted === true) throw reasonOf(call.signal);
      }
    }
  };
  const text = async (call: HttpCall): Promise<string> => readText(await open(call), call, attemptOf(options, call));
  const liveness = createLiveness(options, clock, text, () => dropIdle(shortLived));
  return {
    open,
    text,
    guard: (stream) => ({ heard: () => liveness?.heard(), end: liveness?.guard(stream) ?? ((): void => undefined) }),
    attempt: (call) => attemptOf(options, call),
    close: () => {
      shortLived.destroy();
      streams.destroy();
    },
  };
}

/** Time in which a server has to answer a question for life. */
const ANSWER_MS = 3000;

function createLiveness(
  { livenessMs }: TransportOptions,
  clock: Clock,
  text: (call: HttpCall) => Promise<string>,
  onDead: () => void,
): Liveness | undefined {
  if (livenessMs === undefined) return undefined;
  const ask = async (signal: AbortSignal): Promise<void> => {
    try {
      await text({ method: 'GET', path: '/version', signal, timeoutMs: ANSWER_MS });
    } catch (error) {
      // Whatever it says, it lives.
      if (!(error instanceof KubeApiError)) throw error;
    }
  };
  return new Liveness({ silenceMs: livenessMs, clock, ask, onDead });
}

/** Closes the connections that nobody uses now: their other end may be as dead as the one that was asked. */
function dropIdle(pool: HttpAgent): void {
  for (const sockets of Object.values(pool.freeSockets)) sockets?.forEach((socket) => socket.destroy());
}

/** Kept-alive connections to one server, through its proxy when it has one; throws ExpectedError for a proxy of another kind. */
export function connectionPool(options: Pick<ServerOptions, 'server' | 'proxyUrl'>, maxSockets: number): HttpAgent {
  const { proxyUrl } = options;
  if (proxyUrl !== undefined && !/^https?:\/\//.test(proxyUrl)) {
    throw new ExpectedError(`cannot use the proxy ${proxyUrl} for ${options.server}`, {
      hint: 'Use an http:// proxy.',
    });
  }
  const proxyEnv = proxyUrl === undefined ? {} : { proxyEnv: { HTTPS_PROXY: proxyUrl, HTTP_PROXY: proxyUrl } };
  const settings = { keepAlive: true, keepAliveMsecs: 15_000, maxSockets, scheduling: 'lifo' as const, ...proxyEnv };
  return new URL(options.server).protocol === 'https:' ? new HttpsAgent(settings) : new HttpAgent(settings);
}

function isUntrusted(error: unknown): boolean {
  return error instanceof KubeConnectionError && isUntrustedCertificate(error.cause);
}

/** Says after a failure whether to send the call again, having waited as long as the server asked for. */
function retryPolicy(call: HttpCall, credentials: Credentials, clock: Clock): (error: unknown) => Promise<boolean> {
  const backoff = new Backoff({ initialMs: 250, maxMs: 5000 });
  let renewed = false;
  return async (error) => {
    if (isUnauthorized(error)) {
      if (renewed) return false;
      renewed = true;
      return credentials.renew();
    }
    if (backoff.failures >= MAX_RETRIES) return false;
    const jitterMs = backoff.nextMs();
    if (error instanceof StaleConnectionError) return call.method !== 'POST';
    const seconds = retryAfterSeconds(error);
    if (seconds === undefined) return false;
    await clock.sleep(Math.min(10_000, seconds * 1000) + jitterMs, call.signal);
    return true;
  };
}

function retryAfterSeconds(error: unknown): number | undefined {
  return error instanceof KubeApiError && error.code === 429 ? error.status.details?.retryAfterSeconds : undefined;
}
