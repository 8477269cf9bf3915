import { type ServerResponse } from 'node:http';
import { type Api } from './api.ts';
import { type Resource } from './json.ts';
import { type Listing, parseListing, renderObject } from './reads.ts';
import { groupVersion } from './registry.ts';
import { type ApiRequest, negotiate } from './request.ts';
import { ApiError } from './status.ts';
import { type Matcher } from './selectors.ts';
import { type Change } from './store.ts';

const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const BOOKMARK_MS = 60_000;

/** How objects are shown in the events of one watch; only the first Table has column definitions. */
function shower(api: Api, request: ApiRequest, form: string): (object: Resource) => unknown {
  let first = true;
  return (object) => {
    const shown = renderObject(api, request, object, form);
    const again = form === 'Table' && !first;
    first = false;
    return again ? { ...shown, columnDefinitions: null } : shown;
  };
}

function bookmark({ type }: ApiRequest, form: string, revision: number, initial: boolean): unknown {
  const annotations = initial ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const metadata = { resourceVersion: String(revision), ...annotations };
  if (form !== '') return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
  return { kind: type.kind, apiVersion: groupVersion(type.group, type.version), metadata };
}

/** A change as a watch with a selection sees it: leaving the selection is a deletion of the old state. */
function visibleChange({ type, object, previous }: Change, selects: Matcher): [kind: string, object?: Resource] {
  const before = previous !== undefined && selects(previous);
  if (type !== 'DELETED' && selects(object)) return [before ? 'MODIFIED' : 'ADDED', object];
  const { resourceVersion = '' } = object.metadata;
  return before ? ['DELETED', { ...previous, metadata: { ...previous.metadata, resourceVersion } }] : ['DELETED'];
}

/** Where the events of one watch go, and how. */
interface Sink {
  readonly request: ApiRequest;
  readonly form: string;
  readonly send: (kind: string, object: unknown) => void;
  readonly show: (object: Resource) => unknown;
}

const allowsBookmarks = ({ query }: ApiRequest): boolean => query.get('allowWatchBookmarks') === 'true';

/** What a watch begins with: the state or the missed changes; false when these are no longer known. */
function begin(
  { store }: Api,
  { request, form, send, show }: Sink,
  listing: Listing,
  deliver: (change: Change) => void,
): boolean {
  const { matcher, namespace, resourceVersion, initialEvents } = listing;
  const table = store.table(request.type.table);
  const wanted = Number(resourceVersion);
  const stateFirst = initialEvents === null ? wanted === 0 : initialEvents === 'true';
  if (!stateFirst && wanted < table.oldest) {
    send('ERROR', new ApiError(410, `too old resource version: ${wanted} (${table.oldest})`, 'Expired').body());
    return false;
  }
  if (!stateFirst) {
    table.history.forEach(deliver);
    return true;
  }
  for (const object of store.list(table.key, namespace).filter(matcher)) send('ADDED', show(object));
  const asked = initialEvents === 'true' || resourceVersion === '';
  if (asked && allowsBookmarks(request)) send('BOOKMARK', bookmark(request, form, store.revision, true));
  return true;
}

/** GET with watch=true: the state or the missed changes first, then every change until timeout, close or abort. */
export function handleWatch(api: Api, request: ApiRequest, response: ServerResponse): void {
  const { query, type, headers } = request;
  const form = negotiate(headers.accept?.toString());
  const listing = parseListing(request);
  const show = shower(api, request, form);
  const send = (kind: string, object: unknown): void => {
    // Ended, but a client that no longer reads keeps it from closing.
    if (response.writableEnded) return;
    response.write(`${JSON.stringify({ type: kind, object })}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) response.destroy();
  };
  const { namespace, matcher } = listing;
  const selects: Matcher = (object) => [undefined, object.metadata.namespace].includes(namespace) && matcher(object);
  const deliver = (change: Change): void => {
    const [kind, object] = visibleChange(change, selects);
    if (object !== undefined && change.revision > Number(listing.resourceVersion)) send(kind, show(object));
  };
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
  if (!begin(api, { request, form, send, show }, listing, deliver)) return void response.end();
  const { watchers } = api.store.table(type.table);
  watchers.set(deliver, () => response.end());
  const seconds = Number(query.get('timeoutSeconds')) || 1800 + Math.random() * 1800;
  const end = setTimeout(() => response.end(), seconds * 1000);
  const remind = (): void => send('BOOKMARK', bookmark(request, form, api.store.revision, false));
  const tick = allowsBookmarks(request) ? setInterval(remind, BOOKMARK_MS) : undefined;
  response.on('close', () => {
    watchers.delete(deliver);
    clearTimeout(end);
    clearInterval(tick);
  });
}
