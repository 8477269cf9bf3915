import { type Api } from './api.ts';
import { ADMIN, legacyToken } from './authn.ts';
import { GarbageCollector, type Kept } from './garbage.ts';
import { type Obj, type Resource, obj, objs, same, texts, timestamp, without } from './json.ts';
import { BOOTSTRAP_BINDINGS, BOOTSTRAP_ROLES } from './rbac.ts';
import { groupVersion, tableOf } from './registry.ts';
import { objectSelector } from './selectors.ts';
import { nthAddress } from './services.ts';
import { type Change } from './store.ts';
import { createObject } from './writes.ts';

const CRDS = 'apiextensions.k8s.io/customresourcedefinitions';
const RBAC = 'rbac.authorization.k8s.io';
const CA_NOTE =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/** Creates an object on behalf of the server unless it exists. */
function ensure(api: Api, table: string, metadata: Resource['metadata'], content: Obj = {}): void {
  const type = api.registry.byTable(table);
  const { name, namespace = '' } = metadata;
  if (type === undefined || api.store.get(table, type.namespaced ? namespace : undefined, name) !== undefined) return;
  const options = { dryRun: false, manager: 'kube-apiserver', validation: 'Ignore' };
  const object = {
    kind: type.kind,
    apiVersion: groupVersion(type.group, type.version),
    metadata,
    ...structuredClone(content),
  };
  createObject(api, { type, user: ADMIN, options, namespace, name, subresource: '' }, object);
}

/** Makes what every cluster has from the start. */
function bootstrap(api: Api): void {
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) ensure(api, 'namespaces', { name });
  for (const [name, rules] of Object.entries(BOOTSTRAP_ROLES)) ensure(api, `${RBAC}/clusterroles`, { name }, { rules });
  for (const [name, groups] of Object.entries(BOOTSTRAP_BINDINGS)) {
    const subjects = groups.map((group) => ({ kind: 'Group', name: group }));
    ensure(api, `${RBAC}/clusterrolebindings`, { name }, { subjects, roleRef: { kind: 'ClusterRole', name } });
  }
  ensure(api, 'networking.k8s.io/servicecidrs', { name: 'kubernetes' }, { spec: { cidrs: [api.serviceCidr] } });
  const ports = [{ name: 'https', port: 443, targetPort: 6443 }];
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  const spec = { clusterIP: nthAddress(api.serviceCidr, 1), ports };
  ensure(api, 'services', { name: 'kubernetes', namespace: 'default', labels }, { spec });
}

/**
 * What a controller manager does for the objects this server keeps: namespaces, garbage collection, CRDs,
 * service accounts and their token Secrets, the root CA, aggregated ClusterRoles.
 * INVARIANTS: works after the request that caused it, on the newest state, never inside a change notification.
 */
class Controllers {
  readonly #api: Api;
  readonly #garbage: GarbageCollector;
  #queue = new Map<string, Kept>();

  constructor(api: Api) {
    this.#api = api;
    this.#garbage = new GarbageCollector(api);
  }

  observe(key: string, change: Change): void {
    const affected = [...this.#garbage.observe(key, change), ...this.#affected(key, change.object)];
    for (const each of [{ table: key, object: change.object }, ...affected]) this.#enqueue(each);
    if (key === CRDS && change.type === 'DELETED') this.#api.registry.unregister(change.object);
  }

  #enqueue({ table, object }: Kept): void {
    if (this.#queue.size === 0) setImmediate(() => this.#drain());
    this.#queue.set(`${table} ${object.metadata.namespace ?? ''}/${object.metadata.name}`, { table, object });
  }

  #drain(): void {
    const batch = [...this.#queue.values()];
    this.#queue = new Map();
    for (const { table, object } of batch) {
      const { namespace, name } = object.metadata;
      const newest = this.#api.store.get(table, namespace, name);
      if (newest !== undefined) this.#reconcile(table, newest);
      const left = this.#api.store.get(table, namespace, name);
      if (left !== undefined) this.#garbage.collect({ table, object: left });
    }
  }

  /** Other objects whose state follows from an object's. */
  #affected(table: string, { metadata: { namespace } }: Resource): Kept[] {
    const { store } = this.#api;
    const roles =
      table === `${RBAC}/clusterroles` ? store.list(table).filter((role) => role.aggregationRule !== undefined) : [];
    const secrets = table === 'serviceaccounts' ? store.list('secrets', namespace) : [];
    const home = namespace === undefined ? undefined : store.get('namespaces', undefined, namespace);
    const crd = store.get(CRDS, undefined, table.split('/').reverse().join('.'));
    const waiting = ['serviceaccounts', 'configmaps'].includes(table) || home?.metadata.deletionTimestamp !== undefined;
    return [
      ...roles.map((object) => ({ table, object })),
      ...secrets.map((object) => ({ table: 'secrets', object })),
      ...(home !== undefined && waiting ? [{ table: 'namespaces', object: home }] : []),
      ...(crd?.metadata.deletionTimestamp === undefined ? [] : [{ table: CRDS, object: crd }]),
    ];
  }

  #reconcile(table: string, object: Resource): void {
    if (table === 'namespaces') this.#namespace(object);
    else if (table === CRDS) this.#crd(object);
    else if (object.type === 'kubernetes.io/service-account-token') this.#tokenSecret(object);
    else if (object.aggregationRule !== undefined) this.#aggregate(object);
  }

  #namespace(namespace: Resource): void {
    const { name, deletionTimestamp } = namespace.metadata;
    if (deletionTimestamp !== undefined) return this.#emptyNamespace(namespace);
    ensure(this.#api, 'serviceaccounts', { name: 'default', namespace: name });
    const annotations = { 'kubernetes.io/description': CA_NOTE };
    const data = { 'ca.crt': this.#api.authority };
    if (this.#api.authority !== '')
      ensure(this.#api, 'configmaps', { name: 'kube-root-ca.crt', namespace: name, annotations }, { data });
    return undefined;
  }

  #emptyNamespace(namespace: Resource): void {
    const { store } = this.#api;
    const { name } = namespace.metadata;
    const all = (): Kept[] =>
      [...store.tables.keys()].flatMap((table) => store.list(table, name).map((object) => ({ table, object })));
    for (const each of all()) this.#garbage.delete(each, 'Background');
    const left = all();
    if (left.length > 0) this.#report(namespace, left);
    else if (texts(obj(namespace.spec).finalizers).every((each) => each === 'kubernetes'))
      store.remove('namespaces', namespace);
  }

  /** Says in the conditions of a terminating namespace what is left in it and why. */
  #report(namespace: Resource, left: readonly Kept[]): void {
    const lastTransitionTime = timestamp(this.#api.now());
    const tally = (words: readonly string[], print: (word: string, n: number) => string): string =>
      [...new Set(words)].map((word) => print(word, words.filter((each) => each === word).length)).join(', ');
    const dotted = left.map(({ table }) => `${table.split('/').reverse().join('.')}${table.includes('/') ? '' : '.'}`);
    const remaining = tally(dotted, (word, n) => `${word} has ${n} resource instances`);
    const held = tally(
      left.flatMap(({ object }) => object.metadata.finalizers ?? []),
      (word, n) => `${word} in ${n} resource instances`,
    );
    const conditions = [
      ['DeletionDiscoveryFailure', 'False', 'ResourcesDiscovered', 'All resources successfully discovered'],
      [
        'DeletionGroupVersionParsingFailure',
        'False',
        'ParsedGroupVersions',
        'All legacy kube types successfully parsed',
      ],
      [
        'DeletionContentFailure',
        'False',
        'ContentDeleted',
        'All content successfully deleted, may be waiting on finalization',
      ],
      ['ContentRemaining', 'True', 'SomeResourcesRemain', `Some resources are remaining: ${remaining}`],
      [
        'FinalizersRemaining',
        held === '' ? 'False' : 'True',
        'SomeFinalizersRemain',
        `Some content in the namespace has finalizers remaining: ${held}`,
      ],
    ].map(([type, status, reason, message]) => ({
      type: `Namespace${type}`,
      status,
      lastTransitionTime,
      reason,
      message,
    }));
    const plain = (each: Obj): Obj => without(each, 'lastTransitionTime');
    const unchanged = same(objs(obj(namespace.status).conditions).map(plain), conditions.map(plain));
    if (!unchanged)
      this.#api.store.put('namespaces', { ...namespace, status: { ...obj(namespace.status), conditions } });
  }

  #crd(crd: Resource): void {
    const { registry, store } = this.#api;
    const table = tableOf(crd);
    if (crd.metadata.deletionTimestamp !== undefined) {
      for (const object of store.list(table)) this.#garbage.delete({ table, object }, 'Background');
      if (store.list(table).length > 0) return;
      store.drop(table);
      this.#garbage.release({ table: CRDS, object: crd }, 'customresourcecleanup.apiextensions.k8s.io');
      return;
    }
    store.table(table);
    registry.register(crd);
    const lastTransitionTime = timestamp(this.#api.now());
    const approval = crd.metadata.annotations?.['api-approved.kubernetes.io'] ?? '';
    const conditions = [
      ['NamesAccepted', 'True', 'NoConflicts', 'no conflicts found'],
      ['Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted'],
      ...(approval.startsWith('unapproved')
        ? [['KubernetesAPIApprovalPolicyConformant', 'False', 'UnapprovedAnnotation', `not approved: "${approval}"`]]
        : []),
    ].map(([type, status, reason, message]) => ({ type, status, lastTransitionTime, reason, message }));
    const { acceptedNames, ...status } = obj(crd.status);
    const { names } = obj(crd.spec);
    if (!same(acceptedNames, names))
      store.put(CRDS, { ...crd, status: { ...status, conditions, acceptedNames: names } });
  }

  #tokenSecret(secret: Resource): void {
    const { name, namespace = '', annotations = {} } = secret.metadata;
    const account = this.#api.store.get(
      'serviceaccounts',
      namespace,
      annotations['kubernetes.io/service-account.name'] ?? '',
    );
    const uid = account?.metadata.uid ?? '';
    const known = annotations['kubernetes.io/service-account.uid'] ?? uid;
    if (account === undefined || known !== uid) return this.#api.store.remove('secrets', secret);
    if (obj(secret.data).token !== undefined) return undefined;
    const base64 = (value: string): string => Buffer.from(value).toString('base64');
    const token = base64(legacyToken(this.#api, account, name));
    const data = { ...obj(secret.data), 'ca.crt': base64(this.#api.authority), namespace: base64(namespace), token };
    const metadata = { ...secret.metadata, annotations: { ...annotations, 'kubernetes.io/service-account.uid': uid } };
    this.#api.store.put('secrets', { ...secret, metadata, data });
    return undefined;
  }

  #aggregate(role: Resource): void {
    const table = `${RBAC}/clusterroles`;
    const selectors = objs(obj(role.aggregationRule).clusterRoleSelectors).map(objectSelector);
    const parts = this.#api.store
      .list(table)
      .filter(({ metadata }) => selectors.some((selects) => selects(metadata.labels ?? {})));
    const rules = parts.flatMap((each) => (each === role ? [] : objs(each.rules)));
    if (!same(objs(role.rules), rules)) this.#api.store.put(table, { ...role, rules });
  }
}

/** Makes what every cluster has from the start, and keeps the controllers at work as long as the store changes. */
export function runControllers(api: Api): void {
  const controllers = new Controllers(api);
  api.store.onChange((table, change) => controllers.observe(table.key, change));
  bootstrap(api);
}
