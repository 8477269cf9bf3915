import { FIELD_MANAGER } from '../../api/names.ts';
import { isObject } from '../../api/decode.ts';
import type { KubeObject } from '../../kube/client.ts';
import { ownedFields } from '../../kube/ownedfields.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * What has to be applied to have an object again as it is: what we applied, and what somebody else has in the fields that
 * `wanted` is going to take over. Neither defaults nor what others keep there: applied, they would be ours.
 */
export function asBefore(live: KubeObject, wanted: KubeObject): KubeObject {
  const { apiVersion, kind, metadata } = wanted;
  const { name, namespace } = metadata;
  const own = ownedFields(live, FIELD_MANAGER);
  const fields = merge(own, limitedTo(live, wanted)) as KubeObject & Fields;
  return {
    ...fields,
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    metadata: {
      ...fields.metadata,
      ...(name === undefined ? {} : { name }),
      ...(namespace === undefined ? {} : { namespace }),
    },
  };
}

/** What tells the items of a list apart, best first. */
const KEYS = ['name', 'mountPath', 'containerPort'] as const;

/** The part of a value that has the shape of another one. */
function limitedTo(live: unknown, shape: unknown): unknown {
  if (isObject(live) && isObject(shape)) {
    const shared = Object.keys(shape).filter((key) => live[key] !== undefined);
    return Object.fromEntries(shared.map((key) => [key, limitedTo(live[key], shape[key])]));
  }
  const key = keyOf(live, shape);
  if (key === undefined) return live;
  return objects(live).flatMap((item) => {
    const match = objects(shape).find((one) => one[key] === item[key]);
    return match === undefined ? [] : [limitedTo(item, match)];
  });
}

function merge(one: unknown, other: unknown): unknown {
  if (one === undefined || other === undefined) return one ?? other;
  if (isObject(one) && isObject(other)) {
    const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
    return Object.fromEntries(names.map((name) => [name, merge(one[name], other[name])]));
  }
  const key = keyOf(one, other);
  if (key === undefined) return other;
  const added = objects(other).filter((item) => objects(one).every((known) => known[key] !== item[key]));
  const known = objects(one).map((item) =>
    merge(
      item,
      objects(other).find((match) => match[key] === item[key]),
    ),
  );
  return [...known, ...added];
}

function keyOf(one: unknown, other: unknown): string | undefined {
  if (!Array.isArray(one) || !Array.isArray(other)) return undefined;
  return KEYS.find((key) => [...one, ...other].every((item: unknown) => isObject(item) && item[key] !== undefined));
}

function objects(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
