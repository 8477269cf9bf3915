import { type ServerResponse } from 'node:http';
import { type Obj, without } from '../../kube/json.ts';
import { groupVersion, type ResourceType } from './registry.ts';
import { type Answer, type Api, type ApiRequest, negotiate } from './request.ts';
import { ApiError, badRequest, invalid, notAllowed, unsupported, when } from './status.ts';
import { type Change, placeOf, type Resource } from './store.ts';
import { fieldMatcher, labelMatcher, type Matcher, printerOf } from './tables.ts';

const META = 'meta.k8s.io/v1';
const PARTIAL = 'PartialObjectMetadata';
const partial = ({ metadata }: Resource): Resource => ({ kind: PARTIAL, apiVersion: META, metadata });

/** An object as the requested version shows it. */
const toVersion = ({ group, version, custom }: ResourceType, object: Resource): Resource =>
  custom === undefined ? object : { ...object, apiVersion: groupVersion(group, version) };

/** Objects as a meta/v1 Table. */
function toTable(api: Api, { type, query }: ApiRequest, objects: readonly Resource[], metadata: Obj): Obj {
  const { columns, cells } = printerOf(type, api.now());
  const include = query.get('includeObject') ?? 'Metadata';
  const show = (object: Resource): Resource => (include === 'Object' ? toVersion(type, object) : partial(object));
  const rows = objects.map((object) => ({ cells: cells(object), object: include === 'None' ? null : show(object) }));
  return { kind: 'Table', apiVersion: META, metadata, columnDefinitions: columns, rows };
}

/** One object in the form the client asked for. */
function renderObject(api: Api, request: ApiRequest, object: Resource, form: string): Obj {
  const { resourceVersion } = object.metadata;
  if (object.kind !== request.type.kind) return object;
  if (form === 'Table') return toTable(api, request, [object], { resourceVersion });
  return form === '' ? toVersion(request.type, object) : partial(object);
}

/** The JSON body of an answer in the form the client asked for. */
export function render(api: Api, request: ApiRequest, answer: Answer, form: string): unknown {
  const { object, items, listMeta = {}, body } = answer;
  const { custom, kind, group, version } = request.type;
  if (object !== undefined) return renderObject(api, request, object, form);
  if (items === undefined) return body;
  if (form === 'Table') return toTable(api, request, items, listMeta);
  if (form !== '') return { kind: `${PARTIAL}List`, apiVersion: META, metadata: listMeta, items: items.map(partial) };
  const head = { kind: `${kind}List`, apiVersion: groupVersion(group, version) };
  const bare = (item: Resource): Resource => without(item, 'kind', 'apiVersion');
  if (custom === undefined) return { ...head, metadata: listMeta, items: items.map(bare) };
  const shown = items.map((item) => toVersion(request.type, item));
  return { ...head, metadata: { continue: '', ...listMeta }, items: shown };
}

/** What a list or watch selects, and from which resourceVersion. */
interface Listing {
  readonly matcher: Matcher;
  readonly namespace: string | undefined;
  readonly resourceVersion: string;
  readonly initialEvents: string | null;
}

const MATCH = 'resourceVersionMatch';

/** Why resourceVersionMatch does not go with the rest of the query; '' when it does. */
function mismatch(watching: boolean, match: string, initial: boolean, version: string): string {
  if (watching && initial)
    return match === 'NotOlderThan' ? '' : `sendInitialEvents requires setting ${MATCH} to NotOlderThan`;
  if (match === '') return '';
  if (watching) return `${MATCH} is forbidden for watch unless sendInitialEvents is provided`;
  if (version === '') return `${MATCH} is forbidden unless resourceVersion is provided`;
  return match === 'Exact' && version === '0' ? `${MATCH} "exact" is forbidden for resourceVersion "0"` : '';
}

/** Reads the query of a list or watch; 400 and 422 for what makes no sense. */
export function parseListing({ query, type, verb, namespace }: ApiRequest): Listing {
  const get = (key: string): string => query.get(key) ?? '';
  const [resourceVersion, match] = [get('resourceVersion'), get(MATCH)];
  const labels = labelMatcher(get('labelSelector'));
  const fields = fieldMatcher(type, get('fieldSelector'));
  const initialEvents = query.get('sendInitialEvents');
  const watching = verb === 'watch';
  const words = mismatch(watching, match, initialEvents !== null, resourceVersion);
  const unknown = words === '' && !['', 'Exact', 'NotOlderThan'].includes(match);
  const unwanted = notAllowed('sendInitialEvents', 'sendInitialEvents is forbidden for list');
  const causes = [
    ...when(words !== '', notAllowed(MATCH, words)),
    ...when(unknown, unsupported(MATCH, match, ['Exact', 'NotOlderThan', ''])),
    ...when(!watching && initialEvents !== null, unwanted),
  ];
  if (causes.length > 0) throw invalid('ListOptions', 'meta.k8s.io', '', causes);
  const why = `resourceVersion: Invalid value: "${resourceVersion}": strconv.ParseUint: parsing "${resourceVersion}": invalid syntax`;
  const refused = watching ? new ApiError(500, why) : badRequest(`invalid resource version: ${why}`);
  if (!/^\d*$/.test(resourceVersion)) throw refused;
  const home = type.namespaced && namespace !== '' ? namespace : undefined;
  return { matcher: (object) => labels(object) && fields(object), namespace: home, resourceVersion, initialEvents };
}

/** Where a paged list goes on: at which revision (-1: the newest), and after which object. */
type Page = { readonly rv: number; readonly start: string };
const encodePage = (page: Page): string => Buffer.from(JSON.stringify(page)).toString('base64url');

function parsePage(token: string, version: string): Page {
  if (token === '') return { rv: -1, start: '' };
  if (version !== '') throw badRequest('specifying resource version is not allowed when using continue');
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString()) as Page;
  } catch {
    const why = `continue key is not valid: invalid character '\\u0081' looking for beginning of value`;
    throw badRequest(`invalid continue token: ${why}`);
  }
}

const EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

const expired = (page: Page): ApiError => {
  if (page.start === '') return new ApiError(410, 'The resourceVersion for the provided list is too old.', 'Expired');
  return new ApiError(410, EXPIRED, 'Expired', undefined, { continue: encodePage({ ...page, rv: -1 }) });
};

/** 504 for a revision from the future; Kubernetes waits three seconds for it first. */
function refuseFuture({ store }: Api, revision: number): void {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const message = `Timeout: Too large resource version: ${revision}, current: ${store.revision}`;
  if (revision > store.revision) throw new ApiError(504, message, 'Timeout', { causes, retryAfterSeconds: 1 });
}

/** GET of a collection: selected, paged, at the wanted revision; 410 when that is no longer known. */
export function handleList(api: Api, request: ApiRequest): Answer {
  const { query, type } = request;
  const { matcher, namespace, resourceVersion } = parseListing(request);
  const token = query.get('continue') ?? '';
  const page = parsePage(token, resourceVersion);
  refuseFuture(api, Number(resourceVersion));
  const exact = query.get(MATCH) === 'Exact' ? Number(resourceVersion) : api.store.revision;
  const revision = page.rv < 0 ? exact : page.rv;
  const all = api.store.listAt(type.table, revision, namespace);
  if (all === undefined) throw expired(page);
  const rest = all.filter((object) => matcher(object) && placeOf(object) > page.start);
  const limit = Number(query.get('limit'));
  const listMeta = { resourceVersion: String(revision) };
  const last = rest[limit - 1];
  if (last === undefined || rest.length <= limit) return { code: 200, items: rest, listMeta };
  const selective = query.has('labelSelector') || query.has('fieldSelector');
  const remaining = selective ? {} : { remainingItemCount: rest.length - limit };
  const next = { continue: encodePage({ rv: revision, start: placeOf(last) }), ...remaining };
  return { code: 200, items: rest.slice(0, limit), listMeta: { ...listMeta, ...next } };
}

const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const BOOKMARK_MS = 60_000;

function bookmark({ type }: ApiRequest, form: string, revision: number, initial: boolean): unknown {
  const annotations = initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const metadata = { resourceVersion: String(revision), ...annotations };
  if (form !== '') return { kind: PARTIAL, apiVersion: META, metadata };
  return { kind: type.kind, apiVersion: groupVersion(type.group, type.version), metadata };
}

/** A change as a watch with a selection sees it: leaving the selection is a deletion of the old state. */
function visibleChange({ type, object, previous }: Change, selects: Matcher): [kind: string, object?: Resource] {
  const before = previous !== undefined && selects(previous);
  if (type !== 'DELETED' && selects(object)) return [before ? 'MODIFIED' : 'ADDED', object];
  const { resourceVersion = '' } = object.metadata;
  return before ? ['DELETED', { ...previous, metadata: { ...previous.metadata, resourceVersion } }] : ['DELETED'];
}

/** What writes the events of one watch; only the first Table has column definitions. */
function sender(api: Api, request: ApiRequest, response: ServerResponse, form: string) {
  let first = true;
  const send = (type: string, object: unknown): void => {
    // Ended, but a client that no longer reads keeps it from closing.
    if (response.writableEnded) return;
    response.write(`${JSON.stringify({ type, object })}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) response.destroy();
  };
  const show = (type: string, object: Resource): void => {
    const shown = renderObject(api, request, object, form);
    send(type, form === 'Table' && !first ? { ...shown, columnDefinitions: null } : shown);
    first = false;
  };
  return { send, show };
}

/** GET with watch=true: the state or the missed changes first, then every change until timeout, close or abort. */
export function handleWatch(api: Api, request: ApiRequest, response: ServerResponse): void {
  const { query, type, headers } = request;
  const { store } = api;
  const form = negotiate(headers.accept?.toString());
  const { namespace, matcher, resourceVersion, initialEvents } = parseListing(request);
  const from = Number(resourceVersion);
  const { send, show } = sender(api, request, response, form);
  const selects: Matcher = (object) => [undefined, object.metadata.namespace].includes(namespace) && matcher(object);
  const deliver = (change: Change): void => {
    const [kind, object] = visibleChange(change, selects);
    if (object !== undefined && change.revision > from) show(kind, object);
  };
  const remind = (initial: boolean): void => send('BOOKMARK', bookmark(request, form, store.revision, initial));
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
  const { watchers, history, oldest } = store.table(type.table);
  if (initialEvents === null ? from === 0 : initialEvents === 'true') {
    for (const object of store.list(type.table, namespace).filter(matcher)) show('ADDED', object);
    if (bookmarks && (initialEvents === 'true' || resourceVersion === '')) remind(true);
  } else if (from < oldest) {
    send('ERROR', new ApiError(410, `too old resource version: ${from} (${oldest})`, 'Expired').body());
    return void response.end();
  } else history.forEach(deliver);
  watchers.set(deliver, () => response.end());
  const seconds = Number(query.get('timeoutSeconds')) || 1800 + Math.random() * 1800;
  const end = setTimeout(() => response.end(), seconds * 1000);
  const tick = setInterval(() => bookmarks && remind(false), BOOKMARK_MS);
  response.on('close', () => {
    watchers.delete(deliver);
    clearTimeout(end);
    clearInterval(tick);
  });
}
