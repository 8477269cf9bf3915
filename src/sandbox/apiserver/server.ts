import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo } from 'node:net';
import { type Duplex } from 'node:stream';
import { type Api } from './api.ts';
import { runControllers } from './controllers.ts';
import { Registry } from './registry.ts';
import { type ApiRequest } from './request.ts';
import { admit, answer, refusal, resolve } from './requests.ts';
import { methodNotAllowed } from './status.ts';
import { Store } from './store.ts';
import { mustGet } from './writes.ts';

/** Where the server listens; port 0 takes a free one. */
export type Listen = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** An authorized request for log, exec, attach or portforward of a pod that exists. */
export interface PodRequest {
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  /** Set for ordinary requests. */
  readonly response?: ServerResponse;
  /** Set for protocol upgrades (WebSocket), with what was read already. */
  readonly socket?: Duplex;
  readonly head?: Buffer;
}

/** How to start a server. */
export interface ApiServerOptions {
  readonly listen: readonly Listen[];
  /** PEM; `ca` is what clients verify with, published as kube-root-ca.crt and in token Secrets (nothing without it). */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca?: string } | undefined;
  /** Bearer token of user admin in group system:masters. */
  readonly adminToken: string;
  readonly serviceCidr: string;
  /** PEM of the private key that signs service account tokens; a new one if not given. */
  readonly serviceAccountKey?: string;
  readonly issuer?: string;
  /** `now` in milliseconds since 1970. */
  readonly clock?: { now(): number };
  /** Serves pods/log, exec, attach and portforward; without it they are refused with 405. */
  readonly onPodProxy?: (request: PodRequest) => void;
}

/** A running server. */
export interface ApiServer {
  readonly addresses: readonly Listen[];
  /** Ends all requests and watches, and stops listening. */
  close(): Promise<void>;
  /** Forgets history, so that older resourceVersions are answered with 410. */
  compact(): void;
}

const PROXIED = ['log', 'exec', 'attach', 'portforward'];

type Channel = Pick<PodRequest, 'request' | 'response' | 'socket' | 'head'>;

/** Hands a request over to onPodProxy when it is for a pod's log or streams; false when it is not. */
function proxied(api: Api, { onPodProxy }: ApiServerOptions, asked: ApiRequest, channel: Channel): boolean {
  const { plural, namespace, name, subresource, query } = asked;
  if (plural !== 'pods' || !PROXIED.includes(subresource)) return false;
  mustGet(api, asked);
  if (onPodProxy === undefined) throw methodNotAllowed();
  onPodProxy({ namespace, name, subresource, query, ...channel });
  return true;
}

function upgrade(api: Api, options: ApiServerOptions, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  try {
    if (!proxied(api, options, resolve(api, admit(api, request), '', []), { request, socket, head }))
      throw methodNotAllowed();
  } catch (error) {
    const { code, body } = { code: refusal(error).code, body: JSON.stringify(refusal(error).body()) };
    const headers = [
      'content-type: application/json',
      `content-length: ${Buffer.byteLength(body)}`,
      'connection: close',
    ];
    socket.end(`HTTP/1.1 ${code} Refused\r\n${headers.join('\r\n')}\r\n\r\n${body}`);
  }
}

async function listenOn(server: Server, listen: Listen): Promise<Listen> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen('socketPath' in listen ? { path: listen.socketPath } : listen, resolve);
  });
  return 'socketPath' in listen ? listen : { host: listen.host, port: (server.address() as AddressInfo).port };
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}

/** Starts a Kubernetes API server that keeps everything in memory; rejects when an address cannot be listened on. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const {
    tls,
    adminToken,
    serviceCidr,
    serviceAccountKey: pem,
    issuer = 'https://kubernetes.default.svc',
    clock = Date,
  } = options;
  const signingKey =
    pem === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : createPrivateKey(pem);
  const parts = { store: new Store(), registry: new Registry(), now: () => clock.now() };
  const api: Api = { ...parts, serviceCidr, issuer, signingKey, adminToken, authority: tls?.ca ?? '' };
  runControllers(api);
  const handler = (request: IncomingMessage, response: ServerResponse): void =>
    void answer(api, request, response, (asked) => proxied(api, options, asked, { request, response }));
  const servers = options.listen.map((listen) => {
    const server =
      tls === undefined ? createServer(handler) : createTlsServer({ cert: tls.cert, key: tls.key }, handler);
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      upgrade(api, options, request, socket, head),
    );
    Object.assign(server, { keepAliveTimeout: 90_000, requestTimeout: 0 });
    return { server, listen };
  });
  const close = async (): Promise<void> => void (await Promise.all(servers.map(({ server }) => closeServer(server))));
  try {
    const addresses = await Promise.all(servers.map(({ server, listen }) => listenOn(server, listen)));
    return { addresses, close, compact: () => api.store.compact() };
  } catch (error) {
    await close();
    throw error;
  }
}
