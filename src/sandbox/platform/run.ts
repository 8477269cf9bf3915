import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { ConfigMap, CustomResourceDefinition, Namespace, Secret, ServiceAccount } from '../../kube/objects.ts';
import type { Condition } from '../../kube/pods.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { createStore, type Store } from '../../kube/store.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ReconcileLoop } from '../../runtime/loop.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { deleteExactly, inNamespaceOf } from '../controllers/controller.ts';
import { collectGarbage } from './garbage.ts';
import { Inventory } from './inventory.ts';
import { finishNamespace } from './namespaces.ts';
import { aggregateRoles, type ClusterRole } from './roles.ts';
import { TOKEN_SECRET_TYPE, planToken } from './tokens.ts';

export interface PlatformOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
  /** PEM of the cluster's CA, published to every namespace; '' without TLS, then nothing is published. */
  readonly ca: string;
  /** PEM of the key that signs service account tokens. */
  readonly serviceAccountKey: string;
}

const ROOT_CA = 'kube-root-ca.crt';
const CA_NOTE =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

interface PlatformStores {
  readonly namespaces: Store<Namespace>;
  readonly accounts: Store<ServiceAccount>;
  readonly roots: Store<ConfigMap>;
  readonly tokens: Store<Secret>;
  readonly roles: Store<ClusterRole>;
  readonly crds: Store<CustomResourceDefinition>;
}

function createStores({ client, logger, clock }: PlatformOptions): PlatformStores {
  const options = { logger, clock };
  return {
    namespaces: createStore(client, RESOURCES.namespaces, options),
    accounts: createStore(client, RESOURCES.serviceAccounts, options),
    roots: createStore(client, RESOURCES.configMaps, { ...options, fieldSelector: `metadata.name=${ROOT_CA}` }),
    tokens: createStore(client, RESOURCES.secrets, { ...options, fieldSelector: `type=${TOKEN_SECRET_TYPE}` }),
    roles: createStore(client, RESOURCES.clusterRoles, options),
    crds: createStore(client, RESOURCES.crds, options),
  };
}

/** Default service account and root CA of every living namespace. */
async function furnishNamespaces({ client, ca }: PlatformOptions, stores: PlatformStores): Promise<void> {
  const living = stores.namespaces.list().filter((namespace) => namespace.metadata.deletionTimestamp === undefined);
  await attemptAll(
    living.flatMap(({ metadata: { name: namespace = '' } }) => {
      const account: ServiceAccount = { metadata: { name: 'default', namespace } };
      const annotations = { 'kubernetes.io/description': CA_NOTE };
      const root: ConfigMap = { metadata: { name: ROOT_CA, namespace, annotations }, data: { 'ca.crt': ca } };
      return [
        ...(stores.accounts.get('default', namespace) === undefined
          ? [() => client.create(RESOURCES.serviceAccounts, account, { namespace })]
          : []),
        ...(ca !== '' && stores.roots.get(ROOT_CA, namespace) === undefined
          ? [() => client.create(RESOURCES.configMaps, root, { namespace })]
          : []),
      ];
    }),
  );
}

async function fillTokens({ client, ca, serviceAccountKey }: PlatformOptions, stores: PlatformStores): Promise<void> {
  const steps = stores.tokens.list().map((secret) => planToken(secret, stores.accounts.list(), ca, serviceAccountKey));
  await attemptAll(
    steps
      .filter((step) => step !== undefined)
      .map((step) => async () => {
        const { secret } = step;
        if (step.kind === 'remove') await deleteExactly(client, RESOURCES.secrets, secret);
        else
          await client.patch(RESOURCES.secrets, secret.metadata.name ?? '', step.patch, {
            patchType: 'merge',
            ...inNamespaceOf(secret),
          });
      }),
  );
}

/**
 * Garbage collection, and the end of namespaces, once everything is known. No namespace ends while there may be objects of
 * a kind in it that is not known yet.
 */
async function tidy({ client, clock }: PlatformOptions, stores: PlatformStores, inventory: Inventory): Promise<void> {
  if (!inventory.synced) return;
  const going = stores.namespaces.list().filter(({ metadata }) => metadata.deletionTimestamp !== undefined);
  await attemptAll([
    () => collectGarbage(client, inventory.found(), inventory.types),
    ...going.map((namespace) => async () => {
      requireKinds(stores.crds.list(), inventory.types);
      await finishNamespace(client, namespace, inventory.types, clock.now());
    }),
  ]);
}

/** An API server lists the kind of a CRD a moment after it has said that it is established. */
function requireKinds(definitions: readonly CustomResourceDefinition[], types: readonly ResourceType[]): void {
  const known = new Set(types.map(({ plural, group }) => `${plural}.${group}`));
  const missing = definitions
    .filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && isEstablished(status?.conditions))
    .map(({ metadata }) => metadata.name ?? '')
    .filter((name) => !known.has(name));
  if (missing.length > 0) throw new Error(`the API server does not list these kinds yet: ${missing.join(', ')}`);
}

function isEstablished(conditions: readonly Condition[] = []): boolean {
  return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
}

/**
 * What a controller manager does besides workloads: default service accounts, root CA, token Secrets, aggregated
 * ClusterRoles, garbage collection, the end of namespaces. Runs until the signal is aborted; never rejects.
 */
export async function runPlatformControllers(options: PlatformOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, logger } = options;
  const stores = createStores(options);
  const all = Object.values(stores) as readonly Store<KubeObject>[];
  const inventory = new Inventory(client, { logger, clock }, () => garbage.trigger());
  const loop = (name: string, work: (inner: AbortSignal) => Promise<void>): ReconcileLoop =>
    new ReconcileLoop({
      name,
      logger: logger.with({ controller: name }),
      clock,
      // The API server is on the same machine, and what it has not done yet takes it a moment.
      backoff: { initialMs: 200, maxMs: 2000 },
      reconcile: async (inner) => {
        if (all.every((store) => store.synced)) await work(inner);
      },
    });
  const garbage = loop('garbage', () => tidy(options, stores, inventory));
  const kinds = loop('kinds', async (inner) => {
    await inventory.refresh(inner);
    requireKinds(stores.crds.list(), inventory.types);
  });
  const others = [
    loop('namespaces', () => furnishNamespaces(options, stores)),
    loop('tokens', () => fillTokens(options, stores)),
    loop('roles', () => aggregateRoles(client, stores.roles.list())),
  ];
  const loops = [garbage, kinds, ...others];
  stores.crds.onChange(() => kinds.trigger());
  for (const store of all) store.onChange(() => others.forEach((one) => one.trigger()));
  await Promise.all([...all.map((store) => store.run(signal)), ...loops.map((one) => one.run(signal))]);
  await inventory.close();
}
