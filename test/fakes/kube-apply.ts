import type { Obj } from '../../src/kube/json.ts';
import { applyConfig, trackUpdate, type Managed, type Writer } from '../../src/kube/managedfields.ts';

/** managedFields of an object, kept apart from it. */
export type Owners = readonly Obj[];

const asManaged = (object: Obj, owners: Owners): Managed => ({
  ...object,
  metadata: { ...(object['metadata'] as Obj | undefined), managedFields: owners },
});
const writer = (manager: string): Writer => ({ schema: {}, apiVersion: 'v1', manager, subresource: '', now: 0 });

/** Server-side apply on plain JSON, lists are atomic; throws an ApplyConflictError unless forced. */
export function applyFields(
  current: Obj | undefined,
  owners: Owners,
  manager: string,
  wanted: Obj,
  force: boolean,
): { readonly object: Obj; readonly owners: Owners } {
  const live = current === undefined ? undefined : asManaged(current, owners);
  const { metadata, ...rest } = applyConfig(
    writer(manager),
    live,
    { ...wanted, metadata: wanted['metadata'] as Obj },
    force,
  );
  const { managedFields, ...meta } = metadata;
  return { object: structuredClone({ ...rest, metadata: meta }), owners: managedFields as Owners };
}

/** Owners after `manager` wrote `after` over `before` by create, update or patch. */
export function ownersAfterUpdate(before: Obj | undefined, after: Obj, owners: Owners, manager: string): Owners {
  const live = before === undefined ? undefined : asManaged(before, owners);
  return trackUpdate(writer(manager), live, { ...after, metadata: after['metadata'] as Obj });
}
