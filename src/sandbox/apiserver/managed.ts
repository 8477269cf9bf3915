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
import { type Obj, type Resource, copy, same, text, timestamp, without } from './json.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { ApiError } from './status.ts';

/** Who writes, and through which subresource ('' for the object itself). */
export interface Writer {
  readonly type: ResourceType;
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

const UNTRACKED = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'generation',
  'managedFields',
  'resourceVersion',
  'selfLink',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];

/** The part of an object whose fields can have owners. */
function trackable(object: Resource | undefined): Obj {
  if (object === undefined) return {};
  const metadata = without(object.metadata, ...UNTRACKED);
  const rest = without(object, 'apiVersion', 'kind', 'metadata') as Obj;
  return Object.keys(metadata).length === 0 ? rest : { ...rest, metadata };
}

const entriesOf = (object: Resource | undefined): Entry[] =>
  (object?.metadata.managedFields ?? []).map((entry) => ({
    manager: text(entry['manager']),
    operation: text(entry['operation']),
    apiVersion: text(entry['apiVersion']),
    time: text(entry['time']),
    subresource: text(entry['subresource']),
    fields: decodeFields(entry['fieldsV1']),
  }));

const isMine = (entry: Entry, writer: Writer, operation: string): boolean =>
  entry.manager === writer.manager && entry.operation === operation && entry.subresource === writer.subresource;

/** Writes the entries, keeping the time of those that did not change. */
function render(entries: readonly Entry[], before: readonly Entry[], now: number): Obj[] {
  return entries
    .filter((entry) => entry.fields.size > 0)
    .map((entry) => {
      const old = before.find(
        (each) => each.time === entry.time && each.manager === entry.manager && same(each.fields, entry.fields),
      );
      return { ...entry, time: old?.time ?? timestamp(now) };
    })
    .sort((a, b) => {
      const [first, second] = [a, b].map((entry) => `${entry.operation} ${entry.time} ${entry.manager}`);
      return (first ?? '') < (second ?? '') ? -1 : 1;
    })
    .map(({ manager, operation, apiVersion, time, fields, subresource }) => ({
      manager,
      operation,
      apiVersion,
      time,
      fieldsType: 'FieldsV1',
      fieldsV1: encodeFields(fields),
      ...(subresource === '' ? {} : { subresource }),
    }));
}

const minus = (fields: FieldSet, ...others: readonly FieldSet[]): FieldSet =>
  new Set([...fields].filter((path) => !others.some((other) => other.has(path))));

/** managedFields after an ordinary write: changed fields become the writer's, lost ones nobody's. */
export function trackUpdate(writer: Writer, live: Resource | undefined, next: Resource): Obj[] {
  const before =
    Array.isArray(next.metadata.managedFields) && next.metadata.managedFields.length === 0 ? [] : entriesOf(live);
  const { changed, removed } = compareFields(writer.type.schema, trackable(live), trackable(next));
  if (changed.size === 0 && removed.size === 0) return live?.metadata.managedFields ?? [];
  const mine = before.find((entry) => isMine(entry, writer, 'Update'));
  const others = before
    .filter((entry) => entry !== mine)
    .map((entry) => ({ ...entry, fields: minus(entry.fields, changed, removed) }));
  const fields = new Set([...minus(mine?.fields ?? new Set(), removed), ...changed]);
  const apiVersion = groupVersion(writer.type.group, writer.type.version);
  const { manager, subresource } = writer;
  const own = { manager, operation: 'Update', apiVersion, time: mine?.time ?? '', subresource, fields };
  return render([...others, own], before, writer.now);
}

/** The object after a server-side apply, with its managedFields; 409 naming every conflict unless forced. */
export function applyConfig(writer: Writer, live: Resource | undefined, config: Resource, force: boolean): Resource {
  const { schema, group, version } = writer.type;
  const before = entriesOf(live);
  const wanted: FieldSet = new Set(leaves(schema, trackable(config), false).keys());
  wanted.delete('');
  const mine = before.find((entry) => isMine(entry, writer, 'Apply'));
  let others = before.filter((entry) => entry !== mine);
  let merged = overlay(schema, live ?? {}, without(config, 'metadata')) as Resource;
  merged = {
    ...merged,
    metadata: overlay(
      schema.properties?.['metadata'] ?? {},
      live?.metadata ?? {},
      config.metadata,
    ) as Resource['metadata'],
  };
  const { changed } = compareFields(schema, trackable(live), trackable(merged));
  const conflicts = others.map((entry) => ({
    entry,
    paths: [...changed].filter((path) => entry.fields.has(path) && wanted.has(path)),
  }));
  if (!force) refuseConflicts(conflicts.filter(({ paths }) => paths.length > 0));
  others = conflicts.map(({ entry, paths }) => ({ ...entry, fields: minus(entry.fields, new Set(paths)) }));
  const given = minus(mine?.fields ?? new Set(), wanted);
  for (const path of given) {
    const kept = others.some(({ fields }) => fields.has(path) || [...fields].some((field) => isInside(field, path)));
    const inUse = [...wanted].some((field) => isInside(field, path));
    if (!kept && !inUse) merged = removeField(schema, merged, path) as Resource;
  }
  const { manager, subresource } = writer;
  const own = {
    manager,
    operation: 'Apply',
    apiVersion: groupVersion(group, version),
    time: mine?.time ?? '',
    subresource,
    fields: wanted,
  };
  const managedFields = render([...others, own], before, writer.now);
  return { ...copy(merged), metadata: { ...copy(merged.metadata), managedFields } };
}

const describe = ({ manager, subresource, operation, apiVersion }: Entry): string =>
  `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`}${operation === 'Apply' ? '' : ` using ${apiVersion}`}`;

function refuseConflicts(conflicts: readonly { entry: Entry; paths: readonly string[] }[]): void {
  const causes = conflicts.flatMap(({ entry, paths }) =>
    paths.map((path) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${describe(entry)}`,
      field: printPath(path),
    })),
  );
  if (causes.length === 0) return;
  const [only] = causes;
  const blocks = [...conflicts]
    .sort((a, b) => (describe(a.entry) < describe(b.entry) ? -1 : 1))
    .map(
      ({ entry, paths }) =>
        `conflicts with ${describe(entry)}:\n${paths
          .map((path) => `- ${printPath(path)}`)
          .sort()
          .join('\n')}`,
    );
  const message =
    causes.length === 1
      ? `Apply failed with 1 conflict: ${only?.message}: ${only?.field}`
      : `Apply failed with ${causes.length} conflicts: ${blocks.join('\n')}`;
  throw new ApiError(409, message, { reason: 'Conflict', details: { causes } });
}
