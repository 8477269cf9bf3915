import { type ServerResponse } from 'node:http';
import { type Api } from './api.ts';
import { type Obj, type Resource, text, without } from './json.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { type Accepted, type Answer, type ApiRequest, negotiate } from './request.ts';
import { toNewEvent } from './rules.ts';
import { type Matcher, fieldMatcher, labelMatcher } from './selectors.ts';
import { ApiError, type Cause, badRequest, invalid, notAllowed, unsupported } from './status.ts';
import { type Change } from './store.ts';
import { printerOf } from './tables.ts';
import { mustGet } from './writes.ts';

/** An object as the requested version shows it. */
export function toVersion(type: ResourceType, object: Resource): Resource {
  if (type.group === 'events.k8s.io') return toNewEvent(object);
  return type.custom === undefined ? object : { ...object, apiVersion: groupVersion(type.group, type.version) };
}

const partial = ({ metadata }: Resource): Resource => ({
  kind: 'PartialObjectMetadata',
  apiVersion: 'meta.k8s.io/v1',
  metadata,
});

function toTable(api: Api, request: ApiRequest, objects: readonly Resource[], metadata: Obj): Obj {
  const { columns, cells } = printerOf(request.type, api.now());
  const include = request.query.get('includeObject') ?? 'Metadata';
  const shown = (object: Resource): Resource | null =>
    include === 'None' ? null : include === 'Object' ? toVersion(request.type, object) : partial(object);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: columns,
    rows: objects.map((object) => ({ cells: cells(object), object: shown(object) })),
  };
}

/** The JSON body of an answer in the form the client asked for. */
export function render(api: Api, request: ApiRequest, answer: Answer, { as }: Accepted): unknown {
  const { type } = request;
  const { object, items, listMeta = {} } = answer;
  if (object !== undefined) {
    if (object.kind !== type.kind) return object;
    if (as === 'Table') return toTable(api, request, [object], { resourceVersion: object.metadata.resourceVersion });
    return as.startsWith('Partial') ? partial(object) : toVersion(type, object);
  }
  if (items === undefined) return answer.body;
  if (as === 'Table') return toTable(api, request, items, listMeta);
  if (as.startsWith('Partial'))
    return {
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata: listMeta,
      items: items.map(partial),
    };
  const custom = type.custom !== undefined;
  const shown = items.map((item) =>
    custom ? toVersion(type, item) : without(toVersion(type, item), 'kind', 'apiVersion'),
  );
  return {
    kind: type.listKind,
    apiVersion: groupVersion(type.group, type.version),
    metadata: custom ? { continue: '', ...listMeta } : listMeta,
    items: shown,
  };
}

interface Listing {
  readonly matcher: Matcher;
  readonly selective: boolean;
  readonly resourceVersion: string;
  readonly initialEvents: string | null;
}

function parseListing(request: ApiRequest): Listing {
  const { query, type, verb } = request;
  const labels = labelMatcher(query.get('labelSelector') ?? '');
  const fields = fieldMatcher(type, query.get('fieldSelector') ?? '');
  const resourceVersion = query.get('resourceVersion') ?? '';
  const initialEvents = query.get('sendInitialEvents');
  const causes = versionCauses(
    query.get('resourceVersionMatch') ?? '',
    resourceVersion,
    initialEvents,
    verb === 'watch',
  );
  if (causes.length > 0) throw invalid('ListOptions', 'meta.k8s.io', '', causes);
  if (resourceVersion !== '' && !/^\d+$/.test(resourceVersion)) {
    const why = `resourceVersion: Invalid value: ${JSON.stringify(resourceVersion)}: strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`;
    throw verb === 'watch' ? new ApiError(500, why) : badRequest(`invalid resource version: ${why}`);
  }
  const matcher: Matcher = (object) => (labels?.(object) ?? true) && (fields?.(object) ?? true);
  return { matcher, selective: labels !== undefined || fields !== undefined, resourceVersion, initialEvents };
}

function versionCauses(match: string, version: string, initialEvents: string | null, watching: boolean): Cause[] {
  const field = 'resourceVersionMatch';
  const causes: Cause[] = [];
  if (watching) {
    if (initialEvents === null && match !== '')
      causes.push(
        notAllowed(field, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'),
      );
    if (initialEvents !== null && match !== 'NotOlderThan')
      causes.push(notAllowed(field, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
    return causes;
  }
  if (match !== '' && version === '')
    causes.push(notAllowed(field, 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
  else if (match === 'Exact' && version === '0')
    causes.push(notAllowed(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  else if (!['', 'Exact', 'NotOlderThan'].includes(match))
    causes.push(unsupported(field, match, ['Exact', 'NotOlderThan', '']));
  if (initialEvents !== null) causes.push(notAllowed('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return causes;
}

interface Page {
  readonly rv: number;
  /** Place of the last object already sent. */
  readonly start: string;
}

function parsePage(token: string): Page {
  try {
    const { rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Page;
    if (typeof rv === 'number' && typeof start === 'string') return { rv, start };
  } catch {
    // Falls through to the refusal below.
  }
  throw badRequest(
    "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for beginning of value",
  );
}

const encodePage = (page: Page): string => Buffer.from(JSON.stringify(page)).toString('base64url');
const keyOf = ({ metadata }: Resource): string => `${metadata.namespace ?? ''}/${metadata.name}`;
const namespaceOf = ({ type, namespace }: ApiRequest): string | undefined =>
  type.namespaced && namespace !== '' ? namespace : undefined;

/** The objects a collection request selects at this moment. */
export function selectObjects(api: Api, request: ApiRequest): Resource[] {
  const { matcher } = parseListing(request);
  return api.store.list(request.type.table, namespaceOf(request)).filter(matcher);
}

const EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

/** Waits for a revision from the future as long as Kubernetes does, then answers 504. */
async function waitFor(api: Api, revision: number): Promise<void> {
  for (let left = 30; revision > api.store.revision && left > 0; left -= 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
  if (revision <= api.store.revision) return;
  throw new ApiError(504, `Timeout: Too large resource version: ${revision}, current: ${api.store.revision}`, {
    reason: 'Timeout',
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
    headers: { 'retry-after': '1' },
  });
}

/** GET of a collection: selected, paged, at the wanted revision. */
export async function handleList(api: Api, request: ApiRequest): Promise<Answer> {
  const { query, type } = request;
  const { matcher, selective, resourceVersion } = parseListing(request);
  const token = query.get('continue') ?? '';
  if (token !== '' && resourceVersion !== '')
    throw badRequest('specifying resource version is not allowed when using continue');
  const page = token === '' ? undefined : parsePage(token);
  await waitFor(api, Number(resourceVersion));
  const exact = query.get('resourceVersionMatch') === 'Exact' ? Number(resourceVersion) : undefined;
  const at = (page === undefined || page.rv < 0 ? exact : page.rv) ?? api.store.revision;
  const all = api.store.listAt(type.table, at, namespaceOf(request));
  if (all === undefined && page === undefined)
    throw new ApiError(410, 'The resourceVersion for the provided list is too old.', { reason: 'Expired' });
  if (all === undefined)
    throw new ApiError(410, EXPIRED, {
      reason: 'Expired',
      metadata: { continue: encodePage({ rv: -1, start: page?.start ?? '' }) },
    });
  const rest = all.filter((object) => matcher(object) && (page === undefined || keyOf(object) > page.start));
  const limit = Number(query.get('limit') ?? 0);
  if (!(limit > 0 && rest.length > limit)) return { code: 200, items: rest, listMeta: { resourceVersion: String(at) } };
  const items = rest.slice(0, limit);
  const next = encodePage({ rv: at, start: items.at(-1) === undefined ? '' : keyOf(items.at(-1) as Resource) });
  const remaining = selective ? {} : { remainingItemCount: rest.length - limit };
  return { code: 200, items, listMeta: { resourceVersion: String(at), continue: next, ...remaining } };
}

/** GET of one object or of its status. */
export const handleGet = (api: Api, request: ApiRequest): Answer => ({ code: 200, object: mustGet(api, request) });

const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;

/** One watch on its way to a client: turns changes into lines. */
class WatchStream {
  readonly #response: ServerResponse;
  readonly #show: (object: Resource) => unknown;
  readonly #matcher: Matcher;
  readonly #namespace: string | undefined;
  constructor(
    response: ServerResponse,
    matcher: Matcher,
    namespace: string | undefined,
    show: (object: Resource) => unknown,
  ) {
    this.#response = response;
    this.#matcher = matcher;
    this.#namespace = namespace;
    this.#show = show;
  }

  send(type: string, object: unknown): void {
    this.#response.write(`${JSON.stringify({ type, object })}\n`);
    if (this.#response.writableLength > MAX_BACKLOG_BYTES) this.#response.destroy();
  }

  matches(object: Resource): boolean {
    return (this.#namespace === undefined || object.metadata.namespace === this.#namespace) && this.#matcher(object);
  }

  add(object: Resource): void {
    this.send('ADDED', this.#show(object));
  }

  change({ type, object, previous }: Change): void {
    const before = previous !== undefined && this.matches(previous);
    const after = type !== 'DELETED' && this.matches(object);
    if (!before && !after) return;
    const { resourceVersion = '' } = object.metadata;
    const gone = before && !after ? { ...previous, metadata: { ...previous.metadata, resourceVersion } } : object;
    this.send(after ? (before ? 'MODIFIED' : 'ADDED') : 'DELETED', this.#show(gone));
  }
}

function showFor(api: Api, request: ApiRequest, as: Accepted['as']): (object: Resource) => unknown {
  if (as.startsWith('Partial')) return partial;
  if (as !== 'Table') return (object) => toVersion(request.type, object);
  let first = true;
  return (object) => {
    const table = toTable(api, request, [object], { resourceVersion: object.metadata.resourceVersion });
    const result = first ? table : { ...table, columnDefinitions: null };
    first = false;
    return result;
  };
}

const bookmark = ({ type }: ApiRequest, as: string, revision: number, initial: boolean): Resource => ({
  kind: as.startsWith('Partial') ? 'PartialObjectMetadata' : type.kind,
  apiVersion: as.startsWith('Partial') ? 'meta.k8s.io/v1' : groupVersion(type.group, type.version),
  metadata: {
    resourceVersion: String(revision),
    ...(initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  } as unknown as Resource['metadata'],
});

const BOOKMARK_MS = 60_000;

/** GET with watch=true: the state or the missed changes first, then every change until timeout, close or abort. */
export function handleWatch(api: Api, request: ApiRequest, response: ServerResponse): void {
  const { query, type } = request;
  const { as } = negotiate(text(request.headers['accept']));
  const { matcher, resourceVersion, initialEvents } = parseListing(request);
  const stream = new WatchStream(response, matcher, namespaceOf(request), showFor(api, request, as));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const table = api.store.table(type.table);
  const wanted = Number(resourceVersion);
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  const fromState = initialEvents === 'true' || (initialEvents === null && wanted === 0);
  if (fromState) {
    for (const object of api.store.list(type.table, namespaceOf(request)).filter(matcher)) stream.add(object);
    const ends = initialEvents === 'true' || resourceVersion === '';
    if (bookmarks && ends) stream.send('BOOKMARK', bookmark(request, as, api.store.revision, true));
  } else if (wanted < table.oldest && wanted !== 0) {
    const status = new ApiError(410, `too old resource version: ${wanted} (${table.oldest})`, {
      reason: 'Expired',
    }).body();
    stream.send('ERROR', status);
    response.end();
    return;
  } else for (const change of table.history) if (change.revision > wanted) stream.change(change);
  const watcher = (change: Change): void => {
    if (change.revision > wanted) stream.change(change);
  };
  table.watchers.add(watcher);
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  const end = setTimeout(() => response.end(), (seconds > 0 ? seconds : 1800 + Math.random() * 1800) * 1000);
  const tick = setInterval(
    () => bookmarks && stream.send('BOOKMARK', bookmark(request, as, api.store.revision, false)),
    BOOKMARK_MS,
  );
  const stop = (): void => {
    table.watchers.delete(watcher);
    clearTimeout(end);
    clearInterval(tick);
  };
  response.on('close', stop);
  response.on('finish', stop);
}
