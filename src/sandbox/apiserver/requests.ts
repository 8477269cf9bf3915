import { type IncomingMessage, type ServerResponse } from 'node:http';
import { type Api } from './api.ts';
import { authenticate } from './authn.ts';
import { handleDelete, handleDeleteCollection } from './deletes.ts';
import { discover, discoverAll } from './discovery.ts';
import { handleList, parseListing, render } from './reads.ts';
import { openApiDocument, openApiIndex } from './openapi.ts';
import { PROTOBUF, protobufToJson } from './protobuf.ts';
import { type Attributes, authorize, denial } from './rbac.ts';
import { type Obj, text } from './json.ts';
import { type Registry, type ResourceType } from './registry.ts';
import { type Answer, type ApiRequest, type RequestInfo, type User, negotiate, parseRequest } from './request.ts';
import { handleReview, isReview } from './reviews.ts';
import { ApiError, PathError, forbidden, methodNotAllowed, noSuchResource, notFound } from './status.ts';
import { handleSubresource } from './subresources.ts';
import { handleWatch } from './watch.ts';
import { handleCreate, handlePatch, handleUpdate, mustGet } from './writes.ts';

const MAX_BODY_BYTES = 3 * 1024 * 1024;
const VERSION = {
  major: '1',
  minor: '36',
  emulationMajor: '1',
  emulationMinor: '36',
  minCompatibilityMajor: '1',
  minCompatibilityMinor: '35',
  gitVersion: 'v1.36.0+subctl',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'node',
  platform: `${process.platform}/${process.arch}`,
};

/** A request whose sender is known and may do what it asks. */
export interface Incoming {
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
export function admit(api: Api, request: IncomingMessage): Incoming {
  const url = new URL(request.url ?? '/', 'http://apiserver');
  const sender = authenticate(api, request.headers.authorization);
  const info = parseRequest(request.method ?? 'GET', url);
  const asked: Attributes = { ...info, path: info.plural === '' ? info.path : undefined };
  const user = impersonated(request) ?? sender;
  const who = { verb: 'impersonate', group: '', plural: 'users', subresource: '', namespace: '', name: user.name };
  if (user !== sender && !authorize(api.store, sender, who).allowed)
    throw forbidden(info, info.name, denial(sender, { ...asked, verb: `impersonate-on:user-info:${info.verb}` }, ''));
  const { allowed, reason } = authorize(api.store, user, asked);
  const words = denial(user, asked, reason);
  if (!allowed && info.plural === '') throw new ApiError(403, `forbidden: ${words}`, 'Forbidden', {});
  if (!allowed) throw forbidden(info, info.name, words);
  return { request, url, info, user };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new ApiError(413, `the request body is larger than ${MAX_BODY_BYTES} bytes`, 'RequestEntityTooLarge');
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  return request.headers['content-type'] === PROTOBUF ? protobufToJson(body) : body.toString('utf8');
}

const TEXT = 'text/plain; charset=utf-8';
const METRICS = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';
const ok = (): string => 'ok';
const PLAIN: Readonly<Record<string, (registry: Registry) => string>> = {
  '/healthz': ok,
  '/livez': ok,
  '/readyz': ok,
  '/metrics': () => `process_resident_memory_bytes ${process.memoryUsage.rss()}\n`,
  '/openapi/v3': (registry) => JSON.stringify(openApiIndex(registry)),
};
const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
const sendText = (response: ServerResponse, code: number, body: string, type = TEXT): void =>
  void response.writeHead(code, { 'content-type': type }).end(body);

type Headers = Readonly<Record<string, string | string[]>>;
const sendJson = (response: ServerResponse, code: number, body: unknown, headers: Headers = {}): void =>
  void response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(`${JSON.stringify(body)}\n`);

const warningHeaders = (warnings: readonly string[]): Headers =>
  warnings.length === 0 ? {} : { warning: warnings.map((words) => `299 - ${JSON.stringify(words)}`) };

/** The refusal an error stands for; anything unexpected is 500. */
export const refusal = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError(
        500,
        `Internal error occurred: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
        'InternalError',
      );

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

function findDocument(registry: Registry, path: string, host: string): Obj | undefined {
  const [, root] = path.split('/openapi/v3/');
  return root === undefined ? discover(registry, path.split('/').slice(1), host) : openApiDocument(registry, root);
}

function answerPath({ registry }: Api, { url, request }: Incoming, response: ServerResponse): void {
  const path = url.pathname.replace(/\/$/, '');
  const parts = path.split('/').slice(1);
  if (path === '/version') return sendJson(response, 200, VERSION);
  const plain = PLAIN[path]?.(registry);
  if (plain !== undefined) return sendText(response, 200, plain, path === '/metrics' ? METRICS : TEXT);
  const found = findDocument(registry, path, request.headers.host ?? '');
  if (found === undefined) throw missing(registry, path, parts.length === 3 ? parts[1] : undefined);
  if (parts.length > 1 || negotiate(request.headers.accept) === '') return sendJson(response, 200, found);
  return sendJson(response, 200, discoverAll(registry, path === '/api'), { 'content-type': AGGREGATED });
}

/** The type a request is for; 404 for what is not served. */
function findType({ registry }: Api, { group, version, plural, namespace, path }: RequestInfo): ResourceType {
  const type = registry.find(group, version, plural);
  const fits = type?.namespaced === true || namespace === '' || plural === 'namespaces';
  if (type !== undefined && fits) return type;
  throw missing(registry, path, group);
}

function checkVerb(type: ResourceType, subresource: string, { verb, name }: RequestInfo): void {
  const offered = subresource === '' ? type.verbs : type.subresources.get(subresource);
  if (offered === undefined) throw type.custom === undefined ? noSuchResource() : notFound(type, name);
  const named = ['update', 'patch', 'delete'].includes(verb) || subresource !== '';
  const fits = named ? name !== '' : verb !== 'create' || name === '';
  if (!offered.includes(verb) || !fits) throw methodNotAllowed();
}

/** Finds the resource a request is for; 404 and 405 for what is not served. */
export function resolve(api: Api, incoming: Incoming, body: string, warnings: string[]): ApiRequest {
  const { info, url, request, user } = incoming;
  const type = findType(api, info);
  const [subresource = ''] = info.subresource.split('/');
  checkVerb(type, subresource, info);
  const { deprecated, deprecationWarning } = type.custom ?? {};
  const standard = `${info.group}/${info.version} ${type.kind} is deprecated`;
  if (deprecated === true) warnings.push(text(deprecationWarning) || standard);
  const { method = 'GET', headers } = request;
  return { ...info, subresource, type, method, query: url.searchParams, headers, body, user, warnings };
}

async function answerResource(api: Api, request: ApiRequest): Promise<Answer> {
  const { verb, subresource, type } = request;
  if (isReview(type)) return handleReview(api, request);
  if (!['', 'status'].includes(subresource)) return handleSubresource(api, request);
  if (verb === 'get') return { code: 200, object: mustGet(api, request) };
  if (verb === 'list') return handleList(api, request);
  if (verb === 'create') return handleCreate(api, request);
  if (verb === 'update') return handleUpdate(api, request);
  if (verb === 'patch') return handlePatch(api, request);
  if (verb === 'delete') return handleDelete(api, request);
  const { matcher, namespace } = parseListing(request);
  return handleDeleteCollection(api, request, api.store.list(type.table, namespace).filter(matcher));
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
    const done = await answerResource(api, asked);
    return sendJson(response, done.code, render(api, asked, done, form), warningHeaders(warnings));
  } catch (error) {
    return sendError(response, error, warnings);
  }
}
