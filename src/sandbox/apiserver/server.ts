import { createPrivateKey } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo } from 'node:net';
import { type Duplex } from 'node:stream';
import { text } from '../../kube/json.ts';
import { createServiceAccountKey } from '../jwt.ts';
import { decided } from '../authorizations.ts';
import { handleDelete, handleDeleteCollection, handleReview, handleSubresource, isReview } from './actions.ts';
import { bodyText } from './bodies.ts';
import { startServing } from './controllers.ts';
import kinds from './kinds.json' with { type: 'json' };
import { handleList, handleWatch, parseListing, render } from './reads.ts';
import { AGGREGATED, discover, discoverAll, Registry, type ResourceType } from './registry.ts';
import type { Answer, Api, ApiRequest, RequestInfo, User } from './request.ts';
import { authenticate, authorize, denial, negotiate, parseRequest } from './request.ts';
import { ApiError, forbidden, methodNotAllowed, noSuchResource, notFound, PathError } from './status.ts';
import { Store } from './store.ts';
import { handleCreate, handlePatch, handleUpdate, mustGet } from './writes.ts';

/** Where the server listens; port 0 takes a free one. */
export type Listen = { readonly host: string; readonly port: number } | { readonly socketPath: string };

/** An authorized request for log, exec, attach or portforward of a pod that exists. */
export interface PodRequest extends Pick<ApiRequest, 'namespace' | 'name' | 'subresource' | 'query'> {
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
  /** PEM. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** Bearer token of user admin in group system:masters. */
  readonly adminToken: string;
  readonly serviceCidr: string;
  /** PEM of the P-256 key that signs service account tokens; a new one if not given. */
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

type Channel = Pick<PodRequest, 'request' | 'response' | 'socket' | 'head'>;

/** Hands a request over to onPodProxy when it is for a pod's log or streams; false when it is not. */
function proxied(api: Api, { onPodProxy }: ApiServerOptions, asked: ApiRequest, channel: Channel): boolean {
  const { plural, namespace, name, subresource, query } = asked;
  if (plural !== 'pods' || !/^(log|exec|attach|portforward)$/.test(subresource)) return false;
  mustGet(api, asked);
  if (onPodProxy === undefined) throw methodNotAllowed();
  onPodProxy({ namespace, name, subresource, query, ...channel });
  return true;
}

type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer];

function upgrade(api: Api, options: ApiServerOptions, ...[request, socket, head]: Upgrade): void {
  try {
    const asked = resolve(api, admit(api, request), '', []);
    if (!proxied(api, options, asked, { request, socket, head })) throw methodNotAllowed();
  } catch (error) {
    const refused = refusal(error);
    const body = JSON.stringify(refused.body());
    const length = `content-length: ${Buffer.byteLength(body)}`;
    const head = [`HTTP/1.1 ${refused.code} Refused`, 'content-type: application/json', length, 'connection: close'];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
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
  const { tls, adminToken, serviceCidr, serviceAccountKey: pem } = options;
  const { issuer = 'https://kubernetes.default.svc', clock = Date } = options;
  const signingKey = createPrivateKey(pem ?? createServiceAccountKey());
  const parts = { store: new Store(), registry: new Registry(), now: () => clock.now() };
  const api: Api = { ...parts, serviceCidr, issuer, signingKey, adminToken };
  startServing(api);
  const handler = (request: IncomingMessage, response: ServerResponse): void =>
    void answer(api, request, response, (asked) => proxied(api, options, asked, { request, response }));
  const servers = options.listen.map((listen) => {
    const server = tls === undefined ? createServer(handler) : createTlsServer({ ...tls }, handler);
    server.on('upgrade', (...given: Upgrade) => upgrade(api, options, ...given));
    return { server: Object.assign(server, { keepAliveTimeout: 90_000, requestTimeout: 0 }), listen };
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

const MAX_BODY_BYTES = 3 * 1024 * 1024;
const VERSION = { ...kinds.version, platform: `${process.platform}/${process.arch}` };

/** A request whose sender is known and may do what it asks. */
interface Incoming {
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly info: RequestInfo;
  readonly user: User;
}

/** The user that Impersonate-* headers ask for. */
function impersonated({ headers }: IncomingMessage): User | undefined {
  const name = headers['impersonate-user'];
  if (typeof name !== 'string') return undefined;
  const given = [headers['impersonate-group'] ?? []].flat().flatMap((group) => group.split(', '));
  const [, namespace] = /^system:serviceaccount:([^:]+):/.exec(name) ?? [];
  const account = namespace === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
  return { name, groups: [...(given.length > 0 ? given : account), 'system:authenticated'] };
}

/** Authenticates, impersonates and authorizes; 401 or 403 otherwise. */
function admit(api: Api, request: IncomingMessage): Incoming {
  const url = new URL(request.url ?? '/', 'http://apiserver');
  const sender = authenticate(api, request.headers.authorization);
  const info = parseRequest(request.method ?? 'GET', url);
  const user = impersonated(request) ?? sender;
  const who = { group: '', plural: 'users', subresource: '', namespace: '', name: user.name, path: '' };
  if (user !== sender && !authorize(api.store, sender, { verb: 'impersonate', ...who }).allowed)
    throw forbidden(info, info.name, denial(sender, { ...info, verb: `impersonate-on:user-info:${info.verb}` }, ''));
  const { allowed, reason } = authorize(api.store, user, info);
  decided(user.name, info, allowed);
  const words = denial(user, info, reason);
  if (!allowed && info.plural === '') throw new ApiError(403, `forbidden: ${words}`, 'Forbidden', {});
  if (!allowed) throw forbidden(info, info.name, words);
  return { request, url, info, user };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    const why = `the request body is larger than ${MAX_BODY_BYTES} bytes`;
    if (size > MAX_BODY_BYTES) throw new ApiError(413, why, 'RequestEntityTooLarge');
  }
  return bodyText(Buffer.concat(chunks), request.headers['content-type']);
}

const sendText = (response: ServerResponse, code: number, body: string, extra = 'charset=utf-8'): void =>
  void response.writeHead(code, { 'content-type': `text/plain; ${extra}` }).end(body);

type Headers = Readonly<Record<string, string | string[]>>;
const sendJson = (response: ServerResponse, code: number, body: unknown, headers: Headers = {}): void =>
  void response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(`${JSON.stringify(body)}\n`);

const warningHeaders = (warnings: readonly string[]): Headers =>
  warnings.length === 0 ? {} : { warning: warnings.map((words) => `299 - ${JSON.stringify(words)}`) };

/** The refusal an error stands for; anything unexpected is 500. */
function refusal(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new ApiError(500, `Internal error occurred: ${words}`, 'InternalError');
}

function sendError(response: ServerResponse, error: unknown, warnings: readonly string[]): void {
  if (response.headersSent) return void response.destroy();
  if (error instanceof PathError) return sendText(response, 404, '404 page not found\n');
  const refused = refusal(error);
  const retry = refused.code === 504 ? { 'retry-after': '1' } : {};
  return sendJson(response, refused.code, refused.body(), { ...warningHeaders(warnings), ...retry });
}

/** 404: a Status inside built-in groups, plain text elsewhere. */
const missing = (registry: Registry, path: string, group: string | undefined): Error =>
  registry.isBuiltin(group) ? noSuchResource() : new PathError(path);

const metrics = (): string => `process_resident_memory_bytes ${process.memoryUsage.rss()}\n`;

function answerPath({ registry }: Api, { url, request }: Incoming, response: ServerResponse): void {
  const path = url.pathname.replace(/\/$/, '');
  const [, ...parts] = path.split('/');
  if (path === '/version') return sendJson(response, 200, VERSION);
  if (/^\/(health|live|ready)z$/.test(path)) return sendText(response, 200, 'ok');
  if (path === '/metrics')
    return sendText(response, 200, metrics(), 'version=0.0.4; charset=utf-8; escaping=underscores');
  const found = discover(registry, path, String(request.headers.host));
  if (found === undefined) throw missing(registry, path, parts.length === 3 ? parts[1] : undefined);
  if (path === '/openapi/v3') return sendText(response, 200, JSON.stringify(found));
  const aggregated = parts.length === 1 && request.headers.accept?.includes(`v=v2;as=${AGGREGATED}`) === true;
  if (!aggregated) return sendJson(response, 200, found);
  const headers = { 'content-type': `application/json;g=apidiscovery.k8s.io;v=v2;as=${AGGREGATED}` };
  return sendJson(response, 200, discoverAll(registry, path === '/api'), headers);
}

function checkVerb(type: ResourceType, subresource: string, { verb, name }: RequestInfo): void {
  const offered = subresource === '' ? type.verbs : type.subresources.get(subresource);
  if (offered === undefined) throw type.custom === undefined ? noSuchResource() : notFound(type, name);
  const named = ['update', 'patch', 'delete'].includes(verb) || subresource !== '';
  const fits = named ? name !== '' : verb !== 'create' || name === '';
  if (!offered.includes(verb) || !fits) throw methodNotAllowed();
}

const deprecation = ({ custom, group, version, kind }: ResourceType): string[] =>
  custom?.deprecated === true ? [text(custom.deprecationWarning) || `${group}/${version} ${kind} is deprecated`] : [];

/** Finds the resource a request is for; 404 and 405 for what is not served. */
export function resolve({ registry }: Api, incoming: Incoming, body: string, warnings: string[]): ApiRequest {
  const { info, url, request, user } = incoming;
  const { group, version, plural, namespace, path } = info;
  const type = registry.find(group, version, plural);
  const fits = type?.namespaced === true || namespace === '' || plural === 'namespaces';
  if (type === undefined || !fits) throw missing(registry, path, group);
  const [subresource = ''] = info.subresource.split('/');
  checkVerb(type, subresource, info);
  warnings.push(...deprecation(type));
  const { method = 'GET', headers } = request;
  return { ...info, subresource, type, method, query: url.searchParams, headers, body, user, warnings };
}

type Handler = (api: Api, request: ApiRequest) => Answer;
const HANDLERS: Readonly<Record<string, Handler>> = {
  get: (api, request) => ({ code: 200, object: mustGet(api, request) }),
  list: handleList,
  create: handleCreate,
  update: handleUpdate,
  patch: handlePatch,
  delete: handleDelete,
  deletecollection: (api, request) => {
    const { matcher, namespace } = parseListing(request);
    const items = api.store.list(request.type.table, namespace).filter(matcher);
    return handleDeleteCollection(api, request, items);
  },
};

function handlerOf({ verb, subresource, type }: ApiRequest): Handler {
  if (isReview(type)) return handleReview;
  return ['', 'status'].includes(subresource) ? (HANDLERS[verb] ?? handleSubresource) : handleSubresource;
}

/** Answers one request; `proxy` takes over requests for pods it wants (true). Never rejects. */
export async function answer(
  api: Api,
  request: IncomingMessage,
  response: ServerResponse,
  proxy: (asked: ApiRequest) => boolean,
): Promise<void> {
  const warnings: string[] = [];
  try {
    const incoming = admit(api, request);
    if (incoming.info.plural === '') return answerPath(api, incoming, response);
    const asked = resolve(api, incoming, await readBody(request), warnings);
    if (asked.verb === 'watch') return handleWatch(api, asked, response);
    if (proxy(asked)) return undefined;
    const form = negotiate(request.headers.accept);
    const done = handlerOf(asked)(api, asked);
    return sendJson(response, done.code, render(api, asked, done, form), warningHeaders(warnings));
  } catch (error) {
    return sendError(response, error, warnings);
  }
}
