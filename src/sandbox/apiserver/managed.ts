import {
  type FieldSet,
  compareFields,
  decodeFields,
  encodeFields,
  isInside,
  leaves,
  overlay,
  printPath,
  removeField,
} from './fields.ts';
import { type Obj, type Resource, text, timestamp, without } from './json.ts';
import { type Schema } from './schema.ts';
import { ApiError } from './status.ts';

/** Who writes with which schema, and through which subresource ('' for the object itself). */
export interface Writer {
  readonly schema: Schema;
  readonly apiVersion: string;
  readonly manager: string;
  readonly subresource: string;
  readonly now: number;
}

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly time: string;
  readonly subresource: string;
  readonly fields: FieldSet;
}

const UNTRACKED =
  'name namespace uid creationTimestamp generation managedFields resourceVersion selfLink deletionTimestamp deletionGracePeriodSeconds';

/** The part of an object whose fields can have owners. */
function trackable(object: Resource | undefined): Obj {
  if (object === undefined) return {};
  const metadata = without(object.metadata, ...UNTRACKED.split(' '));
  const rest: Obj = without(object, 'apiVersion', 'kind', 'metadata');
  return Object.keys(metadata).length === 0 ? rest : { ...rest, metadata };
}

const entriesOf = (object: Resource | undefined): Entry[] =>
  (object?.metadata.managedFields ?? []).map(({ manager, operation, apiVersion, time, subresource, fieldsV1 }) => ({
    manager: text(manager),
    operation: text(operation),
    apiVersion: text(apiVersion),
    time: text(time),
    subresource: text(subresource),
    fields: decodeFields(fieldsV1),
  }));

/** The entries with `fields` as the writer's own, as they are stored; entries that did not change keep their time. */
function render(
  writer: Writer,
  operation: string,
  before: readonly Entry[],
  others: readonly Entry[],
  fields: FieldSet,
): Obj[] {
  const { manager, apiVersion, subresource } = writer;
  const mine = before.find((entry) => isMine(entry, writer, operation));
  const own = { manager, operation, apiVersion, subresource, fields, time: mine?.time ?? '' };
  const stamp = (entry: Entry): Entry => {
    const known = before.some(
      (each) =>
        each.manager === entry.manager &&
        each.time === entry.time &&
        minus(each.fields, entry.fields).size === 0 &&
        each.fields.size === entry.fields.size,
    );
    return known ? entry : { ...entry, time: timestamp(writer.now) };
  };
  const rank = ({ operation, time, manager }: Entry): string => `${operation} ${time} ${manager}`;
  return [...others, own]
    .filter((entry) => entry.fields.size > 0)
    .map(stamp)
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .map(({ fields, subresource, ...entry }) => ({
      ...entry,
      fieldsType: 'FieldsV1',
      fieldsV1: encodeFields(fields),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

const isMine = (entry: Entry, { manager, subresource }: Writer, operation: string): boolean =>
  entry.manager === manager && entry.operation === operation && entry.subresource === subresource;

const minus = (fields: FieldSet, ...others: readonly FieldSet[]): FieldSet =>
  new Set([...fields].filter((path) => !others.some((other) => other.has(path))));

/** managedFields after an ordinary write: changed fields become the writer's, lost ones nobody's. */
export function trackUpdate(writer: Writer, live: Resource | undefined, next: Resource): Obj[] {
  const before = next.metadata.managedFields?.length === 0 ? [] : entriesOf(live);
  const { changed, removed } = compareFields(writer.schema, trackable(live), trackable(next));
  if (changed.size === 0 && removed.size === 0) return live?.metadata.managedFields ?? [];
  const mine = before.find((entry) => isMine(entry, writer, 'Update'));
  const others = before.filter((entry) => entry !== mine);
  const reduced = others.map((entry) => ({ ...entry, fields: minus(entry.fields, changed, removed) }));
  return render(writer, 'Update', before, reduced, new Set([...minus(mine?.fields ?? new Set(), removed), ...changed]));
}

/** The object after a server-side apply, with its managedFields; 409 naming every conflict unless forced. */
export function applyConfig(writer: Writer, live: Resource | undefined, config: Resource, force: boolean): Resource {
  const { schema } = writer;
  const before = entriesOf(live);
  const wanted: FieldSet = new Set(leaves(schema, trackable(config), false).keys());
  const mine = before.find((entry) => isMine(entry, writer, 'Apply'));
  let merged = overlay(schema, live ?? {}, config) as Resource;
  const { changed } = compareFields(schema, trackable(live), trackable(merged));
  const conflicts = before
    .filter((entry) => entry !== mine)
    .map((entry) => ({ entry, paths: [...changed].filter((path) => entry.fields.has(path) && wanted.has(path)) }));
  if (!force) refuse(conflicts.filter(({ paths }) => paths.length > 0));
  const others = conflicts.map(({ entry, paths }) => ({ ...entry, fields: minus(entry.fields, new Set(paths)) }));
  const needed = [...others.flatMap(({ fields }) => [...fields]), ...wanted];
  for (const path of minus(mine?.fields ?? new Set(), wanted))
    if (!needed.some((field) => field === path || isInside(field, path)))
      merged = removeField(schema, merged, path) as Resource;
  return {
    ...merged,
    metadata: { ...merged.metadata, managedFields: render(writer, 'Apply', before, others, wanted) },
  };
}

const describe = ({ manager, subresource, operation, apiVersion }: Entry): string =>
  `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`}${operation === 'Apply' ? '' : ` using ${apiVersion}`}`;

function refuse(conflicts: readonly { entry: Entry; paths: readonly string[] }[]): void {
  const reason = 'FieldManagerConflict';
  const causes = conflicts.flatMap(({ entry, paths }) =>
    paths.map((path) => ({ reason, message: `conflict with ${describe(entry)}`, field: printPath(path) })),
  );
  const [first, second] = causes;
  if (first === undefined) return;
  const blocks = conflicts.map(({ entry, paths }) =>
    [`conflicts with ${describe(entry)}:`, ...paths.map((path) => `- ${printPath(path)}`).sort()].join('\n'),
  );
  const many = `Apply failed with ${causes.length} conflicts: ${blocks.sort().join('\n')}`;
  const message = second === undefined ? `Apply failed with 1 conflict: ${first.message}: ${first.field}` : many;
  throw new ApiError(409, message, 'Conflict', { causes });
}
