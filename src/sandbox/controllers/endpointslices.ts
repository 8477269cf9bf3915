import type { EndpointSlice } from '../../kube/objects.ts';
import { attemptAll } from './attempts.ts';
import { deleteExactly, inNamespaceOf, type Controller } from './controller.ts';
import { desiredSlice, inVersion, isManagedSlice } from './endpointslice-plan.ts';
import { sameJson } from './json.ts';

function key(slice: EndpointSlice): string {
  return `${slice.metadata.namespace ?? ''}/${slice.metadata.name ?? ''}`;
}

function sameContent(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    sameJson(a.endpoints, b.endpoints) &&
    sameJson(a.ports ?? [], b.ports ?? []) &&
    sameJson(a.metadata.ownerReferences?.[0]?.uid, b.metadata.ownerReferences?.[0]?.uid)
  );
}

/** Keeps one EndpointSlice for every Service with a selector; slices others wrote are left alone. */
export const endpointSliceController: Controller = {
  name: 'endpointslice',
  watches: ['services', 'pods', 'endpointSlices'],
  async reconcile({ client, sliceType, stores }) {
    const desired = stores.services
      .list()
      .map((service) => desiredSlice(service, stores.pods.list()))
      .filter((slice) => slice !== undefined)
      .map((slice) => inVersion(slice, sliceType));
    const observed = new Map(
      stores.endpointSlices
        .list()
        .filter(isManagedSlice)
        .map((slice) => [key(slice), slice]),
    );
    const wanted = new Set(desired.map(key));
    const writes = desired.flatMap((slice) => {
      const current = observed.get(key(slice));
      if (current === undefined) return [() => client.create(sliceType, slice, inNamespaceOf(slice))];
      if (sameContent(current, slice)) return [];
      const next = { ...slice, metadata: { ...current.metadata, ...slice.metadata } };
      return [() => client.replace(sliceType, next, inNamespaceOf(slice))];
    });
    const stale = [...observed.values()].filter((slice) => !wanted.has(key(slice)));
    await attemptAll([...writes, ...stale.map((slice) => () => deleteExactly(client, sliceType, slice))]);
  },
};
