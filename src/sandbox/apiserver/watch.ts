import { type ServerResponse } from 'node:http';
import { type Api } from './api.ts';
import { type Resource } from './json.ts';
import { parseListing, renderObject } from './reads.ts';
import { groupVersion } from './registry.ts';
import { type ApiRequest, negotiate } from './request.ts';
import { ApiError } from './status.ts';
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

/** GET with watch=true: the state or the missed changes first, then every change until timeout, close or abort. */
export function handleWatch(api: Api, request: ApiRequest, response: ServerResponse): void {
  const { query, type, headers } = request;
  const form = negotiate(headers.accept?.toString());
  const { matcher, namespace, resourceVersion, initialEvents } = parseListing(request);
  const show = shower(api, request, form);
  const send = (kind: string, object: unknown): void => {
    response.write(`${JSON.stringify({ type: kind, object })}\n`);
    if (response.writableLength > MAX_BACKLOG_BYTES) response.destroy();
  };
  const selects = (object: Resource): boolean =>
    (namespace === undefined || object.metadata.namespace === namespace) && matcher(object);
  const wanted = Number(resourceVersion);
  const deliver = ({ type: kind, revision, object, previous }: Change): void => {
    const before = previous !== undefined && selects(previous);
    const after = kind !== 'DELETED' && selects(object);
    if (revision <= wanted || (!before && !after)) return;
    const { resourceVersion } = object.metadata;
    if (after) send(before ? 'MODIFIED' : 'ADDED', show(object));
    else if (previous !== undefined)
      send(
        'DELETED',
        show({ ...previous, metadata: { ...previous.metadata, resourceVersion } as Resource['metadata'] }),
      );
  };
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
  const table = api.store.table(type.table);
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  const tooOld = new ApiError(410, `too old resource version: ${wanted} (${table.oldest})`, 'Expired');
  if (initialEvents === 'true' || (initialEvents === null && wanted === 0)) {
    for (const object of api.store.list(type.table, namespace).filter(matcher)) send('ADDED', show(object));
    if (bookmarks && (initialEvents === 'true' || resourceVersion === ''))
      send('BOOKMARK', bookmark(request, form, api.store.revision, true));
  } else if (wanted < table.oldest && wanted > 0) {
    send('ERROR', tooOld.body());
    response.end();
    return;
  } else for (const change of table.history) deliver(change);
  table.watchers.add(deliver);
  const seconds = Number(query.get('timeoutSeconds') ?? 0) || 1800 + Math.random() * 1800;
  const end = setTimeout(() => response.end(), seconds * 1000);
  const tick = setInterval(
    () => bookmarks && send('BOOKMARK', bookmark(request, form, api.store.revision, false)),
    BOOKMARK_MS,
  );
  response.on('close', () => {
    table.watchers.delete(deliver);
    clearTimeout(end);
    clearInterval(tick);
  });
}
