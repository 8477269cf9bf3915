import type { KubeObject } from './client.ts';

type Fields = Readonly<Record<string, unknown>>;

interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation?: string;
  readonly subresource?: string;
  readonly fieldsV1?: Fields;
}

/** What of an object a manager applied, with the values it has now; without name and kind, {} when it applied nothing. */
export function ownedFields({ metadata, ...content }: KubeObject, manager: string): Fields {
  const entries = (metadata.managedFields ?? []) as readonly ManagedFieldsEntry[];
  const own = entries.find(
    (entry) => entry.manager === manager && entry.operation === 'Apply' && (entry.subresource ?? '') === '',
  );
  return own?.fieldsV1 === undefined ? {} : (project({ metadata, ...content }, own.fieldsV1) as Fields);
}

/** The part of a value that a set of fields names (FieldsV1: `f:` a field, `k:` an item by its keys, `v:` an item by its value). */
function project(value: unknown, fields: Fields): unknown {
  const names = Object.keys(fields);
  if (names.length === 0) return value;
  if (Array.isArray(value)) return value.flatMap((item: unknown) => projectItem(item, fields));
  if (!isObject(value)) return value;
  const kept = names
    .filter((name) => name.startsWith('f:') && value[name.slice(2)] !== undefined)
    .map((name) => [name.slice(2), project(value[name.slice(2)], inside(fields, name))] as const);
  return Object.fromEntries(kept);
}

function projectItem(item: unknown, fields: Fields): readonly unknown[] {
  const name = Object.keys(fields).find((one) => names(one, item));
  if (name === undefined) return [];
  if (name.startsWith('v:')) return [item];
  return [{ ...(parse(name) as Fields), ...(project(item, inside(fields, name)) as Fields) }];
}

function names(name: string, item: unknown): boolean {
  if (name.startsWith('v:')) return JSON.stringify(parse(name)) === JSON.stringify(item);
  if (!name.startsWith('k:') || !isObject(item)) return false;
  return Object.entries(parse(name) as Fields).every(([key, value]) => item[key] === value);
}

function parse(name: string): unknown {
  return JSON.parse(name.slice(2));
}

function inside(fields: Fields, name: string): Fields {
  const inner = fields[name];
  return isObject(inner) ? inner : {};
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
