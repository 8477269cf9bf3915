import { type Api } from './api.ts';
import { type Obj, type Resource, without } from './json.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { type Answer, type ApiRequest } from './request.ts';
import { type Matcher, fieldMatcher, labelMatcher } from './selectors.ts';
import { ApiError, type Cause, badRequest, invalid, notAllowed, unsupported } from './status.ts';
import { placeOf } from './store.ts';
import { printerOf } from './tables.ts';

const META = 'meta.k8s.io/v1';
const partial = ({ metadata }: Resource): Resource => ({ kind: 'PartialObjectMetadata', apiVersion: META, metadata });

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
export function renderObject(api: Api, request: ApiRequest, object: Resource, form: string): Obj {
  const { resourceVersion } = object.metadata;
  if (object.kind !== request.type.kind) return object;
  if (form === 'Table') return toTable(api, request, [object], { resourceVersion });
  return form === '' ? toVersion(request.type, object) : partial(object);
}

/** The JSON body of an answer in the form the client asked for. */
export function render(
  api: Api,
  request: ApiRequest,
  { object, items, listMeta = {}, body }: Answer,
  form: string,
): unknown {
  const { custom, kind, group, version } = request.type;
  if (object !== undefined) return renderObject(api, request, object, form);
  if (items === undefined) return body;
  if (form === 'Table') return toTable(api, request, items, listMeta);
  if (form !== '')
    return { kind: 'PartialObjectMetadataList', apiVersion: META, metadata: listMeta, items: items.map(partial) };
  const head = { kind: `${kind}List`, apiVersion: groupVersion(group, version) };
  if (custom !== undefined)
    return {
      ...head,
      metadata: { continue: '', ...listMeta },
      items: items.map((item) => toVersion(request.type, item)),
    };
  return { ...head, metadata: listMeta, items: items.map((item) => without(item, 'kind', 'apiVersion')) };
}

/** What a list or watch selects, and from which resourceVersion. */
export interface Listing {
  readonly matcher: Matcher;
  readonly namespace: string | undefined;
  readonly resourceVersion: string;
  readonly initialEvents: string | null;
}

/** Reads the query of a list or watch; 400 and 422 for what makes no sense. */
export function parseListing({ query, type, verb, namespace }: ApiRequest): Listing {
  const get = (key: string): string => query.get(key) ?? '';
  const labels = labelMatcher(get('labelSelector'));
  const fields = fieldMatcher(type, get('fieldSelector'));
  const resourceVersion = get('resourceVersion');
  const initialEvents = query.get('sendInitialEvents');
  const watching = verb === 'watch';
  const causes = (watching ? watchCauses : listCauses)(get(MATCH), initialEvents, resourceVersion);
  if (causes.length > 0) throw invalid('ListOptions', 'meta.k8s.io', '', causes);
  const why = `resourceVersion: Invalid value: "${resourceVersion}": strconv.ParseUint: parsing "${resourceVersion}": invalid syntax`;
  const refused = watching ? new ApiError(500, why) : badRequest(`invalid resource version: ${why}`);
  if (!/^\d*$/.test(resourceVersion)) throw refused;
  const home = type.namespaced && namespace !== '' ? namespace : undefined;
  return { matcher: (object) => labels(object) && fields(object), namespace: home, resourceVersion, initialEvents };
}

const MATCH = 'resourceVersionMatch';

function watchCauses(match: string, initialEvents: string | null): Cause[] {
  if (initialEvents !== null && match !== 'NotOlderThan')
    return [notAllowed(MATCH, `sendInitialEvents requires setting ${MATCH} to NotOlderThan`)];
  const early = initialEvents === null && match !== '';
  return early ? [notAllowed(MATCH, `${MATCH} is forbidden for watch unless sendInitialEvents is provided`)] : [];
}

function listCauses(match: string, initialEvents: string | null, version: string): Cause[] {
  const causes: Cause[] = [];
  if (match !== '' && version === '')
    causes.push(notAllowed(MATCH, `${MATCH} is forbidden unless resourceVersion is provided`));
  else if (match === 'Exact' && version === '0')
    causes.push(notAllowed(MATCH, `${MATCH} "exact" is forbidden for resourceVersion "0"`));
  else if (!['', 'Exact', 'NotOlderThan'].includes(match))
    causes.push(unsupported(MATCH, match, ['Exact', 'NotOlderThan', '']));
  return initialEvents === null
    ? causes
    : [...causes, notAllowed('sendInitialEvents', 'sendInitialEvents is forbidden for list')];
}

/** Where a paged list goes on: at which revision (-1: the newest), and after which object. */
interface Page {
  readonly rv: number;
  readonly start: string;
}

const encodePage = (page: Page): string => Buffer.from(JSON.stringify(page)).toString('base64url');

function parsePage(token: string): Page {
  try {
    const { rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString()) as Page;
    return { rv, start };
  } catch {
    throw badRequest(
      "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for beginning of value",
    );
  }
}

const TOO_OLD = 'The resourceVersion for the provided list is too old.';
const EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.';

/** Waits for a revision from the future as long as Kubernetes does, then answers 504. */
async function waitFor({ store }: Api, revision: number): Promise<void> {
  for (let left = 30; revision > store.revision && left > 0; left -= 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const message = `Timeout: Too large resource version: ${revision}, current: ${store.revision}`;
  if (revision > store.revision) throw new ApiError(504, message, 'Timeout', { causes, retryAfterSeconds: 1 });
}

/** The objects a list is about, and the revision they are of; 410 when that is no longer known. */
function listObjects(
  { store }: Api,
  { type, query }: ApiRequest,
  { resourceVersion, namespace }: Listing,
  page: Page,
): { all: Resource[]; revision: number } {
  const exact = query.get(MATCH) === 'Exact' ? Number(resourceVersion) : store.revision;
  const revision = page.rv < 0 ? exact : page.rv;
  const all = store.listAt(type.table, revision, namespace);
  if (all !== undefined) return { all, revision };
  if (page.start === '') throw new ApiError(410, TOO_OLD, 'Expired');
  throw new ApiError(410, EXPIRED, 'Expired', undefined, { continue: encodePage({ ...page, rv: -1 }) });
}

/** GET of a collection: selected, paged, at the wanted revision. */
export async function handleList(api: Api, request: ApiRequest): Promise<Answer> {
  const { query } = request;
  const listing = parseListing(request);
  const token = query.get('continue') ?? '';
  if (token !== '' && listing.resourceVersion !== '')
    throw badRequest('specifying resource version is not allowed when using continue');
  const page = token === '' ? { rv: -1, start: '' } : parsePage(token);
  await waitFor(api, Number(listing.resourceVersion));
  const { all, revision } = listObjects(api, request, listing, page);
  const rest = all.filter((object) => listing.matcher(object) && placeOf(object) > page.start);
  const limit = Number(query.get('limit') ?? 0);
  const listMeta = { resourceVersion: String(revision) };
  const last = rest[limit - 1];
  if (last === undefined || rest.length <= limit) return { code: 200, items: rest, listMeta };
  const selective = query.has('labelSelector') || query.has('fieldSelector');
  const remaining = selective ? {} : { remainingItemCount: rest.length - limit };
  const next = { continue: encodePage({ rv: revision, start: placeOf(last) }), ...remaining };
  return { code: 200, items: rest.slice(0, limit), listMeta: { ...listMeta, ...next } };
}
