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

export interface TransportOptions extends ServerOptions {
  readonly clock?: Clock | undefined;
}

/** Requests over one pool of kept-alive connections per server. */
export interface Transport {
  /** The response once its status is below 300; rejects with KubeApiError, KubeConnectionError or the signal's reason. */
  open(call: HttpCall): Promise<IncomingMessage>;
  /** The whole body as text. */
  text(call: HttpCall): Promise<string>;
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
  const open = async (call: HttpCall): Promise<IncomingMessage> => {
    const mayRetry = retryPolicy(call, credentials, clock);
    for (;;) {
      try {
        return await exchange(trusted, call.stream === true ? streams : shortLived, await credentials.headers(), call);
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
  return {
    open,
    text: async (call) => readText(await open(call), call, attemptOf(options, call)),
    attempt: (call) => attemptOf(options, call),
    close: () => {
      shortLived.destroy();
      streams.destroy();
    },
  };
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
