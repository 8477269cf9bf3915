import { obj, same, timestamp } from '../../kube/json.ts';
import { firstAddress } from '../../net/cidr.ts';
import { deleteObject } from './actions.ts';
import initialObjects from './bootstrap.json' with { type: 'json' };
import { tableOf } from './registry.ts';
import { ADMIN, type Api } from './request.ts';
import { type Resource } from './store.ts';

import { createObject } from './writes.ts';

const CRDS = 'apiextensions.k8s.io/customresourcedefinitions';
const CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';

/** Makes what every cluster has from the start. */
function bootstrap(api: Api): void {
  const ports = [{ name: 'https', port: 443, targetPort: 6443 }];
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  const spec = { clusterIP: firstAddress(api.serviceCidr), ports };
  const name = 'kubernetes';
  const cidrs = [api.serviceCidr];
  const own = [
    { apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name }, spec: { cidrs } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default', labels }, spec },
  ];
  const options = { dryRun: false, manager: 'kube-apiserver', validation: 'Ignore' };
  for (const object of structuredClone([...initialObjects, ...own]) as Resource[]) {
    const [version = '', group = ''] = object.apiVersion.split('/').reverse();
    const type = api.registry.of(group, version).find(({ kind }) => kind === object.kind);
    const { name, namespace = '' } = object.metadata;
    if (type !== undefined) createObject(api, { type, user: ADMIN, options, namespace, name, subresource: '' }, object);
  }
}

/** Deletes what a terminating CRD defines, and with the last object the CRD. */
function emptyCrd(api: Api, crd: Resource): void {
  const { store, registry } = api;
  const table = tableOf(crd);
  const type = registry.byTable(table);
  for (const object of store.list(table))
    if (type !== undefined && object.metadata.deletionTimestamp === undefined) deleteObject(api, type, object, {});
  const finalizers = (crd.metadata.finalizers ?? []).filter((each) => each !== CLEANUP);
  if (store.list(table).length > 0 || !crd.metadata.finalizers?.includes(CLEANUP)) return;
  store.drop(table);
  if (finalizers.length === 0) store.remove(CRDS, crd);
  else store.put(CRDS, { ...crd, metadata: { ...crd.metadata, finalizers } });
}

/** Serves what a CRD defines and says so in its conditions. */
function establishCrd({ store, registry, now }: Api, crd: Resource): void {
  store.table(tableOf(crd));
  registry.register(crd);
  const lastTransitionTime = timestamp(now());
  const approval = crd.metadata.annotations?.['api-approved.kubernetes.io'] ?? '';
  const words = `not approved: "${approval}"`;
  const conditions = [
    ['NamesAccepted', 'True', 'NoConflicts', 'no conflicts found'],
    ['Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted'],
    ['KubernetesAPIApprovalPolicyConformant', 'False', 'UnapprovedAnnotation', words],
  ].map(([type, status, reason, message]) => ({ type, status, lastTransitionTime, reason, message }));
  const { acceptedNames, ...status } = obj(crd.status);
  const { names } = obj(crd.spec);
  const shown = approval.startsWith('unapproved') ? conditions : conditions.slice(0, 2);
  if (!same(acceptedNames, names))
    store.put(CRDS, { ...crd, status: { ...status, conditions: shown, acceptedNames: names } });
}

/**
 * Makes what every cluster has from the start, and from then on serves what CRDs define: on the newest state, after the
 * request that caused it. Everything a controller manager does is left to one.
 */
export function startServing(api: Api): void {
  const settle = (name: string): void => {
    const crd = api.store.get(CRDS, undefined, name);
    if (crd !== undefined) (crd.metadata.deletionTimestamp === undefined ? establishCrd : emptyCrd)(api, crd);
  };
  api.store.onChange(({ key }, { type, object }) => {
    if (key === CRDS && type === 'DELETED') api.registry.unregister(object);
    const name = key === CRDS ? object.metadata.name : key.split('/').reverse().join('.');
    if (key.includes('.')) setImmediate(settle, name);
  });
  bootstrap(api);
}
