import { type Api, SYSTEM } from './api.ts';
import { legacyToken } from './authn.ts';
import { PLAIN, deleteObject } from './deletes.ts';
import { type Obj, type Resource, obj, objs, same, text, texts, timestamp, without } from './json.ts';
import { BOOTSTRAP_BINDINGS, BOOTSTRAP_ROLES } from './rbac.ts';
import { objectSelector } from './selectors.ts';
import { nthAddress } from './services.ts';
import { createObject } from './writes.ts';

const CRDS = 'apiextensions.k8s.io/customresourcedefinitions';
const RBAC = 'rbac.authorization.k8s.io';

/** Creates an object on behalf of the server unless it exists. */
function ensure(api: Api, group: string, plural: string, object: Obj): void {
  const type = api.registry.must(group, plural);
  const { name, namespace = '' } = obj(object['metadata']) as Resource['metadata'];
  if (api.store.get(type.table, type.namespaced ? namespace : undefined, name) !== undefined) return;
  const options = { dryRun: false, manager: 'kube-apiserver', strict: false, warn: false };
  const apiVersion = group === '' ? 'v1' : `${group}/v1`;
  createObject(api, { type, user: SYSTEM, options, namespace, name, subresource: '' }, {
    kind: type.kind,
    apiVersion,
    ...object,
  } as Resource);
}

const CA_NOTE =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/**
 * What a controller manager does for the objects this server keeps: namespaces, garbage collection, CRDs,
 * service accounts and their token Secrets, the root CA, aggregated ClusterRoles.
 * INVARIANTS: works after the request that caused it, on the newest state, never inside a change notification.
 */
export class Controllers {
  readonly #api: Api;
  /** Objects to look at again, by "table place". */
  readonly #queue = new Map<string, { table: string; namespace: string | undefined; name: string }>();
  /** uid of every object, and by owner uid the objects that name it. */
  readonly #uids = new Map<string, { table: string; object: Resource }>();
  readonly #dependents = new Map<string, Set<string>>();
  #scheduled = false;

  constructor(api: Api) {
    this.#api = api;
    api.store.onChange(({ key }, { type, object, previous }) => {
      this.#index(key, object, previous, type === 'DELETED');
      this.#enqueue(key, object);
      this.#wake(key, object, type === 'DELETED');
    });
  }

  /** Makes what every cluster has from the start. */
  bootstrap(): void {
    const api = this.#api;
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
      ensure(api, '', 'namespaces', { metadata: { name } });
    for (const [name, rules] of Object.entries(BOOTSTRAP_ROLES))
      ensure(api, RBAC, 'clusterroles', { metadata: { name }, rules });
    for (const [name, groups] of Object.entries(BOOTSTRAP_BINDINGS)) {
      const subjects = groups.map((group) => ({ kind: 'Group', apiGroup: RBAC, name: group }));
      ensure(api, RBAC, 'clusterrolebindings', {
        metadata: { name },
        subjects,
        roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name },
      });
    }
    ensure(api, 'networking.k8s.io', 'servicecidrs', {
      metadata: { name: 'kubernetes' },
      spec: { cidrs: [api.serviceCidr] },
    });
    const labels = { component: 'apiserver', provider: 'kubernetes' };
    const ports = [{ name: 'https', protocol: 'TCP', port: 443, targetPort: 6443 }];
    const clusterIP = nthAddress(api.serviceCidr, 1);
    ensure(api, '', 'services', {
      metadata: { name: 'kubernetes', namespace: 'default', labels },
      spec: { clusterIP, ports },
    });
  }

  #enqueue(table: string, { metadata: { namespace, name } }: Resource): void {
    this.#queue.set(`${table} ${namespace ?? ''}/${name}`, { table, namespace, name });
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#drain());
  }

  #drain(): void {
    this.#scheduled = false;
    const batch = [...this.#queue.values()];
    this.#queue.clear();
    for (const { table, namespace, name } of batch) {
      const object = this.#api.store.get(table, namespace, name);
      if (object !== undefined) this.#reconcile(table, object);
    }
  }

  #index(table: string, object: Resource, previous: Resource | undefined, deleted: boolean): void {
    const { uid = '' } = object.metadata;
    for (const owner of previous?.metadata.ownerReferences ?? []) this.#dependents.get(text(owner['uid']))?.delete(uid);
    if (deleted) {
      this.#uids.delete(uid);
      return;
    }
    this.#uids.set(uid, { table, object });
    for (const owner of object.metadata.ownerReferences ?? []) {
      const known = this.#dependents.get(text(owner['uid'])) ?? new Set<string>();
      this.#dependents.set(text(owner['uid']), known.add(uid));
    }
  }

  #dependentsOf({ metadata: { uid = '' } }: Resource): { table: string; object: Resource }[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((each) => this.#uids.get(each) ?? []);
  }

  /** Enqueues the others whose state follows from a change. */
  #wake(table: string, object: Resource, deleted: boolean): void {
    const { store } = this.#api;
    const { namespace } = object.metadata;
    if (table === `${RBAC}/clusterroles`)
      for (const role of store.list(table)) if (role['aggregationRule'] !== undefined) this.#enqueue(table, role);
    if (!deleted) return;
    for (const each of this.#dependentsOf(object)) this.#enqueue(each.table, each.object);
    if (this.#dependentsOf(object).length === 0) this.#dependents.delete(object.metadata.uid ?? '');
    for (const { uid } of object.metadata.ownerReferences ?? []) {
      const owner = this.#uids.get(text(uid));
      if (owner !== undefined) this.#enqueue(owner.table, owner.object);
    }
    const home = namespace === undefined ? undefined : store.get('namespaces', undefined, namespace);
    if (
      home?.metadata.deletionTimestamp !== undefined ||
      (home !== undefined && ['serviceaccounts', 'configmaps'].includes(table))
    )
      this.#enqueue('namespaces', home);
    const crd = store.get(CRDS, undefined, table.split('/').reverse().join('.'));
    if (crd?.metadata.deletionTimestamp !== undefined) this.#enqueue(CRDS, crd);
    if (table === 'serviceaccounts')
      for (const secret of store.list('secrets', namespace)) this.#enqueue('secrets', secret);
    if (table === CRDS) this.#api.registry.unregister(object);
  }

  #reconcile(table: string, object: Resource): void {
    if (table === 'namespaces') this.#namespace(object);
    else if (table === CRDS) this.#crd(object);
    else if (table === 'secrets') this.#tokenSecret(object);
    else if (table === `${RBAC}/clusterroles`) this.#aggregate(object);
    if (this.#api.store.get(table, object.metadata.namespace, object.metadata.name) === object)
      this.#collect(table, object);
  }

  #delete(table: string, object: Resource, policy = 'Background'): void {
    const type = this.#api.registry.byTable(table);
    if (type !== undefined) deleteObject(this.#api, type, object, { ...PLAIN, policy });
  }

  /** Stores a changed object, or removes it when its deletion waited for the finalizer that is gone now. */
  #release(table: string, object: Resource, finalizer: string): void {
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    if (finalizers.length === 0) this.#api.store.remove(table, object.metadata.namespace, object.metadata.name);
    else this.#api.store.put(table, { ...object, metadata: { ...object.metadata, finalizers } });
  }

  #withoutOwners(table: string, object: Resource, gone: (uid: string) => boolean): void {
    const left = (object.metadata.ownerReferences ?? []).filter((owner) => !gone(text(owner['uid'])));
    const bare = without(object.metadata, 'ownerReferences');
    this.#api.store.put(table, { ...object, metadata: left.length === 0 ? bare : { ...bare, ownerReferences: left } });
  }

  #collect(table: string, object: Resource): void {
    const { uid = '', finalizers = [], ownerReferences = [], deletionTimestamp } = object.metadata;
    if (deletionTimestamp !== undefined && finalizers.includes('orphan')) {
      for (const each of this.#dependentsOf(object))
        this.#withoutOwners(each.table, each.object, (owner) => owner === uid);
      this.#release(table, object, 'orphan');
    } else if (deletionTimestamp !== undefined && finalizers.includes('foregroundDeletion')) {
      const blocks = ({ object: { metadata } }: { object: Resource }): boolean =>
        (metadata.ownerReferences ?? []).some((owner) => owner['uid'] === uid && owner['blockOwnerDeletion'] === true);
      for (const each of this.#dependentsOf(object))
        if (each.object.metadata.deletionTimestamp === undefined)
          this.#delete(each.table, each.object, blocks(each) ? 'Foreground' : 'Background');
      if (!this.#dependentsOf(object).some(blocks)) this.#release(table, object, 'foregroundDeletion');
    } else if (ownerReferences.length > 0 && deletionTimestamp === undefined) {
      const dead = ownerReferences.filter((owner) => !this.#uids.has(text(owner['uid'])));
      if (dead.length === ownerReferences.length) this.#delete(table, object);
      else if (dead.length > 0) this.#withoutOwners(table, object, (owner) => !this.#uids.has(owner));
    }
  }

  #namespace(namespace: Resource): void {
    const { name, deletionTimestamp } = namespace.metadata;
    if (deletionTimestamp !== undefined) return this.#emptyNamespace(namespace);
    ensure(this.#api, '', 'serviceaccounts', { metadata: { name: 'default', namespace: name } });
    if (this.#api.authority === '') return undefined;
    const metadata = {
      name: 'kube-root-ca.crt',
      namespace: name,
      annotations: { 'kubernetes.io/description': CA_NOTE },
    };
    return ensure(this.#api, '', 'configmaps', { metadata, data: { 'ca.crt': this.#api.authority } });
  }

  #emptyNamespace(namespace: Resource): void {
    const { store } = this.#api;
    const { name } = namespace.metadata;
    const remaining: string[] = [];
    const held = new Map<string, number>();
    for (const table of store.tables.keys()) {
      for (const object of store.list(table, name))
        if (object.metadata.deletionTimestamp === undefined) this.#delete(table, object);
      const left = store.list(table, name);
      if (left.length > 0) remaining.push(`${this.#described(table)} has ${left.length} resource instances`);
      for (const finalizer of left.flatMap(({ metadata }) => metadata.finalizers ?? []))
        held.set(finalizer, (held.get(finalizer) ?? 0) + 1);
    }
    if (remaining.length > 0) this.#report(namespace, remaining, held);
    else if (texts(obj(namespace['spec'])['finalizers']).every((each) => each === 'kubernetes'))
      store.remove('namespaces', undefined, name);
  }

  #described(table: string): string {
    const [plural = '', group = ''] = table.split('/').reverse();
    return `${plural}.${group}`;
  }

  #report(namespace: Resource, remaining: readonly string[], held: ReadonlyMap<string, number>): void {
    const lastTransitionTime = timestamp(this.#api.now());
    const holders = [...held].map(([finalizer, n]) => `${finalizer} in ${n} resource instances`).join(', ');
    const conditions = [
      ['NamespaceDeletionDiscoveryFailure', 'False', 'ResourcesDiscovered', 'All resources successfully discovered'],
      [
        'NamespaceDeletionGroupVersionParsingFailure',
        'False',
        'ParsedGroupVersions',
        'All legacy kube types successfully parsed',
      ],
      [
        'NamespaceDeletionContentFailure',
        'False',
        'ContentDeleted',
        'All content successfully deleted, may be waiting on finalization',
      ],
      [
        'NamespaceContentRemaining',
        'True',
        'SomeResourcesRemain',
        `Some resources are remaining: ${remaining.join(', ')}`,
      ],
      holders === ''
        ? [
            'NamespaceFinalizersRemaining',
            'False',
            'ContentHasNoFinalizers',
            'All content-preserving finalizers finished',
          ]
        : [
            'NamespaceFinalizersRemaining',
            'True',
            'SomeFinalizersRemain',
            `Some content in the namespace has finalizers remaining: ${holders}`,
          ],
    ].map(([type, status, reason, message]) => ({ type, status, lastTransitionTime, reason, message }));
    const plain = (each: Obj): Obj => without(each, 'lastTransitionTime');
    const status = obj(namespace['status']);
    if (same(objs(status['conditions']).map(plain), conditions.map(plain))) return;
    this.#api.store.put('namespaces', { ...namespace, status: { ...status, conditions } });
  }

  #crd(crd: Resource): void {
    const { registry, store } = this.#api;
    const spec = obj(crd['spec']);
    const table = `${text(spec['group'])}/${text(obj(spec['names'])['plural'])}`;
    if (crd.metadata.deletionTimestamp !== undefined) {
      for (const object of store.list(table))
        if (object.metadata.deletionTimestamp === undefined) this.#delete(table, object);
      if (store.list(table).length > 0) return;
      store.drop(table);
      this.#release(CRDS, crd, 'customresourcecleanup.apiextensions.k8s.io');
      return;
    }
    store.table(table);
    registry.register(crd);
    const lastTransitionTime = timestamp(this.#api.now());
    const conditions: Obj[] = [
      {
        type: 'NamesAccepted',
        status: 'True',
        lastTransitionTime,
        reason: 'NoConflicts',
        message: 'no conflicts found',
      },
      {
        type: 'Established',
        status: 'True',
        lastTransitionTime,
        reason: 'InitialNamesAccepted',
        message: 'the initial names have been accepted',
      },
    ];
    const approval = crd.metadata.annotations?.['api-approved.kubernetes.io'];
    if (approval?.startsWith('unapproved') === true)
      conditions.push({
        type: 'KubernetesAPIApprovalPolicyConformant',
        status: 'False',
        lastTransitionTime,
        reason: 'UnapprovedAnnotation',
        message: `not approved: ${JSON.stringify(approval)}`,
      });
    const status = obj(crd['status']);
    if (same(status['acceptedNames'], spec['names']) && objs(status['conditions']).length > 0) return;
    store.put(CRDS, { ...crd, status: { ...status, conditions, acceptedNames: spec['names'] } });
  }

  #tokenSecret(secret: Resource): void {
    if (secret['type'] !== 'kubernetes.io/service-account-token') return;
    const { name, namespace = '', annotations = {} } = secret.metadata;
    const account = this.#api.store.get(
      'serviceaccounts',
      namespace,
      annotations['kubernetes.io/service-account.name'] ?? '',
    );
    const uid = annotations['kubernetes.io/service-account.uid'];
    if (account === undefined || (uid !== undefined && uid !== account.metadata.uid))
      return this.#api.store.remove('secrets', namespace, name);
    if (obj(secret['data'])['token'] !== undefined) return undefined;
    const base64 = (value: string): string => Buffer.from(value).toString('base64');
    const filled = {
      'ca.crt': base64(this.#api.authority),
      namespace: base64(namespace),
      token: base64(legacyToken(this.#api, account, name)),
    };
    const metadata = {
      ...secret.metadata,
      annotations: { ...annotations, 'kubernetes.io/service-account.uid': account.metadata.uid ?? '' },
    };
    this.#api.store.put('secrets', { ...secret, metadata, data: { ...obj(secret['data']), ...filled } });
    return undefined;
  }

  #aggregate(role: Resource): void {
    const selectors = objs(obj(role['aggregationRule'])['clusterRoleSelectors']).map(objectSelector);
    if (selectors.length === 0) return;
    const parts = this.#api.store
      .list(`${RBAC}/clusterroles`)
      .filter((each) => each !== role && selectors.some((matches) => matches(each.metadata.labels ?? {})));
    const rules = parts.flatMap((each) => objs(each['rules']));
    if (!same(objs(role['rules']), rules)) this.#api.store.put(`${RBAC}/clusterroles`, { ...role, rules });
  }
}
