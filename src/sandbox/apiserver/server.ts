import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type Duplex } from 'node:stream';
import { type AddressInfo } from 'node:net';
import { type Api } from './api.ts';
import { authenticate, impersonated } from './authn.ts';
import { Controllers } from './controllers.ts';
import { handleDelete, handleDeleteCollection } from './deletes.ts';
import { discover } from './discovery.ts';
import { handleGet, handleList, handleWatch, render, selectObjects } from './reads.ts';
import { type Attributes, authorize, denial } from './rbac.ts';
import { Registry } from './registry.ts';
import { type Answer, type ApiRequest, type RequestInfo, type User, negotiate, parseRequest } from './request.ts';
import { ApiError, PlainError, forbidden, methodNotAllowed, noSuchResource } from './status.ts';
import { Store } from './store.ts';
import { handleReview, handleSubresource, isReview } from './subresources.ts';
import { handleCreate, handlePatch, handleUpdate, mustGet } from './writes.ts';

/** Where the server listens; port 0 takes a free one. */
export type Listen = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** A request for logs, exec, attach, port-forward or proxy of a pod that exists, already authorized. */
export interface PodRequest {
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  /** Rest of the path behind the subresource (proxy). */
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
  /** PEM; `ca` is what clients verify with (published as kube-root-ca.crt), default the certificate itself. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca?: string } | undefined;
  /** Bearer token of user admin in group system:masters. */
  readonly adminToken: string;
  readonly serviceCidr: string;
  /** PEM of the private key that signs service account tokens; a new one if not given. */
  readonly serviceAccountKey?: string;
  readonly issuer?: string;
  /** `now` in milliseconds since 1970. */
  readonly clock?: { now(): number };
  /** Serves pods/log, exec, attach, portforward and proxy; without it they are refused with 405. */
  readonly onPodProxy?: (request: PodRequest) => void | Promise<void>;
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
const MAX_BODY_BYTES = 3 * 1024 * 1024;
const HEALTH = ['/healthz', '/livez', '/readyz'];
const VERSION = {
  ...{
    major: '1',
    minor: '36',
    emulationMajor: '1',
    emulationMinor: '36',
    minCompatibilityMajor: '1',
    minCompatibilityMinor: '35',
  },
  ...{ gitVersion: 'v1.36.0+subctl', gitCommit: '', gitTreeState: 'clean', buildDate: '1970-01-01T00:00:00Z' },
  ...{ goVersion: 'none', compiler: 'node', platform: `${process.platform}/${process.arch}` },
};

interface Incoming {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly info: RequestInfo;
  readonly user: User;
}

const attributesOf = (info: RequestInfo): Attributes => {
  const { verb, group, plural, subresource, namespace, name, path } = info;
  return info.isResource
    ? { verb, group, plural, subresource, namespace, name }
    : { verb, group: '', plural: '', subresource: '', namespace: '', name: '', path };
};

function refuseUnauthorized(api: Api, user: User, info: RequestInfo): void {
  const asked = attributesOf(info);
  const { allowed, reason } = authorize(api.store, user, asked);
  if (allowed) return;
  const words = denial(user, asked, reason);
  if (!info.isResource) throw new ApiError(403, `forbidden: ${words}`, { reason: 'Forbidden', details: {} });
  throw forbidden(info, info.verb === 'create' && info.subresource === '' ? '' : info.name, words);
}

/** Authenticates, impersonates and authorizes. */
function admit(api: Api, request: IncomingMessage): Incoming {
  const url = new URL(request.url ?? '/', 'http://apiserver');
  const sender = authenticate(api, request.headers.authorization);
  const info = parseRequest(request.method ?? 'GET', url);
  const other = impersonated(request.headers);
  if (other !== undefined) {
    const asked = { verb: 'impersonate', group: '', plural: 'users', subresource: '', namespace: '', name: other.name };
    if (!authorize(api.store, sender, asked).allowed)
      throw forbidden(
        info,
        info.name,
        denial(sender, { ...attributesOf(info), verb: `impersonate-on:user-info:${info.verb}` }, ''),
      );
  }
  const user = other ?? sender;
  refuseUnauthorized(api, user, info);
  return { request, url, info, user };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES)
      throw new ApiError(413, `the request body is larger than ${MAX_BODY_BYTES} bytes`, {
        reason: 'RequestEntityTooLarge',
      });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function sendText(response: ServerResponse, code: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(code, { 'content-type': type }).end(body);
}

function sendJson(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Readonly<Record<string, string | string[]>> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(`${JSON.stringify(body)}\n`);
}

const warningHeaders = (warnings: readonly string[]): Record<string, string[]> =>
  warnings.length === 0 ? {} : { warning: warnings.map((words) => `299 - ${JSON.stringify(words)}`) };

function sendError(response: ServerResponse, error: unknown, warnings: readonly string[]): void {
  if (response.headersSent) return void response.destroy();
  if (error instanceof PlainError) return sendText(response, error.code, error.message);
  const known =
    error instanceof ApiError
      ? error
      : new ApiError(
          500,
          `Internal error occurred: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
          { reason: 'InternalError' },
        );
  return sendJson(response, known.code, known.body(), { ...warningHeaders(warnings), ...known.parts.headers });
}

function answerPath(api: Api, { url, request }: Incoming, response: ServerResponse): void {
  const parts = url.pathname.split('/').filter((part) => part !== '');
  const [root = '', group = ''] = parts;
  if (HEALTH.includes(url.pathname)) return sendText(response, 200, 'ok');
  if (url.pathname === '/version') return sendJson(response, 200, VERSION);
  if (url.pathname === '/metrics')
    return sendText(
      response,
      200,
      `# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes ${process.memoryUsage.rss()}\n`,
      'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
    );
  if (url.pathname === '/openapi/v3') return sendText(response, 200, '{"paths":{}}');
  if (root !== 'api' && root !== 'apis') throw new PlainError(404, '404 page not found\n');
  const wanted = negotiate(request.headers.accept).as === 'APIGroupDiscoveryList' && parts.length === 1;
  const found = discover(api.registry, parts, wanted, request.headers.host ?? '');
  if (found === undefined && parts.length === 3 && api.registry.isBuiltin(group)) throw noSuchResource();
  if (found === undefined) throw new PlainError(404, '404 page not found\n');
  const type = wanted ? 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' : 'application/json';
  return sendJson(response, 200, found, { 'content-type': type });
}

function resolve(api: Api, { info, url, request, user }: Incoming, body: string, warnings: string[]): ApiRequest {
  const type = api.registry.find(info.group, info.version, info.plural);
  const known = type !== undefined && (type.namespaced || info.namespace === '' || info.plural === 'namespaces');
  if (!known) throw api.registry.isBuiltin(info.group) ? noSuchResource() : new PlainError(404, '404 page not found\n');
  const sub = info.subresource.split('/')[0] ?? '';
  const missing = type.custom === undefined ? noSuchResource() : undefined;
  if (sub !== '' && !type.subresources.has(sub)) throw missing ?? mustNotExist(info);
  const offered = sub === '' ? type.verbs : (type.subresources.get(sub) ?? []);
  const single = info.name !== '' || !['update', 'patch', 'delete'].includes(info.verb);
  const placed =
    info.verb !== 'create' || sub !== '' || (info.plural === 'namespaces' ? info.name === '' : info.name === '');
  if (!offered.includes(info.verb) || !single || !placed) throw methodNotAllowed();
  const deprecation =
    type.custom?.version['deprecated'] === true ? type.custom.version['deprecationWarning'] : undefined;
  if (type.custom?.version['deprecated'] === true)
    warnings.push(
      typeof deprecation === 'string' ? deprecation : `${type.group}/${type.version} ${type.kind} is deprecated`,
    );
  const method = request.method ?? 'GET';
  return { ...info, type, method, query: url.searchParams, headers: request.headers, body, user, warnings };
}

const mustNotExist = ({ plural, group, name }: RequestInfo): ApiError =>
  new ApiError(404, `${plural}.${group} "${name}" not found`, {
    reason: 'NotFound',
    details: { name, group, kind: plural },
  });

async function answerResource(api: Api, request: ApiRequest): Promise<Answer> {
  if (isReview(request.type)) return handleReview(api, request);
  if (request.subresource !== '' && request.subresource !== 'status') return handleSubresource(api, request);
  switch (request.verb) {
    case 'get':
      return handleGet(api, request);
    case 'list':
      return handleList(api, request);
    case 'create':
      return handleCreate(api, request);
    case 'update':
      return handleUpdate(api, request);
    case 'patch':
      return handlePatch(api, request);
    case 'delete':
      return handleDelete(api, request);
    default:
      return handleDeleteCollection(api, request, selectObjects(api, request));
  }
}

const isProxied = (request: RequestInfo): boolean => request.plural === 'pods' && PROXIED.includes(request.subresource);

async function answer(
  api: Api,
  options: ApiServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const warnings: string[] = [];
  try {
    const incoming = admit(api, request);
    if (!incoming.info.isResource) return answerPath(api, incoming, response);
    const asked = resolve(api, incoming, await readBody(request), warnings);
    if (asked.verb === 'watch') return handleWatch(api, asked, response);
    if (isProxied(asked)) {
      const { namespace, name, subresource, query } = asked;
      mustGet(api, asked);
      if (options.onPodProxy === undefined) throw methodNotAllowed();
      return await options.onPodProxy({ namespace, name, subresource, query, request, response });
    }
    const accepted = negotiate(request.headers.accept);
    const done = await answerResource(api, asked);
    return sendJson(response, done.code, render(api, asked, done, accepted), warningHeaders(warnings));
  } catch (error) {
    return sendError(response, error, warnings);
  }
}

function upgrade(api: Api, options: ApiServerOptions, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  try {
    const asked = resolve(api, admit(api, request), '', []);
    mustGet(api, asked);
    if (options.onPodProxy === undefined || !isProxied(asked)) throw methodNotAllowed();
    const { namespace, name, subresource, query } = asked;
    void options.onPodProxy({ namespace, name, subresource, query, request, socket, head });
  } catch (error) {
    const known = error instanceof ApiError ? error : new ApiError(500, String(error));
    const body = JSON.stringify(known.body());
    socket.end(
      `HTTP/1.1 ${known.code} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
}

async function listenOn(server: Server, listen: Listen): Promise<Listen> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen('socketPath' in listen ? { path: listen.socketPath } : listen, resolve);
  });
  return 'socketPath' in listen ? listen : { host: listen.host, port: (server.address() as AddressInfo).port };
}

/** Starts a Kubernetes API server that keeps everything in memory; rejects when an address cannot be listened on. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const {
    tls,
    adminToken,
    serviceCidr,
    serviceAccountKey,
    issuer = 'https://kubernetes.default.svc',
    clock = Date,
  } = options;
  const signingKey =
    serviceAccountKey === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : createPrivateKey(serviceAccountKey);
  const api: Api = {
    ...{
      store: new Store(),
      registry: new Registry(),
      now: () => clock.now(),
      serviceCidr,
      issuer,
      signingKey,
      adminToken,
    },
    authority: tls === undefined ? '' : (tls.ca ?? tls.cert),
  };
  new Controllers(api).bootstrap();
  const servers = options.listen.map(() => {
    const handler = (request: IncomingMessage, response: ServerResponse): void =>
      void answer(api, options, request, response);
    const server =
      tls === undefined ? createServer(handler) : createTlsServer({ cert: tls.cert, key: tls.key }, handler);
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      upgrade(api, options, request, socket, head),
    );
    server.keepAliveTimeout = 90_000;
    server.requestTimeout = 0;
    return server;
  });
  const close = async (): Promise<void> => {
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  };
  try {
    const addresses = await Promise.all(
      servers.map((server, index) => listenOn(server, options.listen[index] as Listen)),
    );
    return { addresses, close, compact: () => api.store.compact() };
  } catch (error) {
    await close();
    throw error;
  }
}
