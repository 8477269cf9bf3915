import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { ConfigMap, Namespace, Secret, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { createStore, type Store } from '../../kube/store.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ReconcileLoop } from '../../runtime/loop.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { deleteExactly, inNamespaceOf } from '../controllers/controller.ts';
import { collectGarbage } from './garbage.ts';
import { TOKEN_SECRET_TYPE, planToken } from './tokens.ts';

export interface PlatformOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
  /** PEM of the cluster's CA, published to every namespace. */
  readonly ca: string;
  /** PEM of the key that signs service account tokens. */
  readonly serviceAccountKey: string;
  /** How often all objects are looked through for garbage; default 2000. */
  readonly garbageMs?: number;
}

const ROOT_CA = 'kube-root-ca.crt';

interface PlatformStores {
  readonly namespaces: Store<Namespace>;
  readonly accounts: Store<ServiceAccount>;
  readonly roots: Store<ConfigMap>;
  readonly tokens: Store<Secret>;
}

function createStores({ client, logger, clock }: PlatformOptions): PlatformStores {
  const options = { logger, clock };
  return {
    namespaces: createStore(client, RESOURCES.namespaces, options),
    accounts: createStore(client, RESOURCES.serviceAccounts, options),
    roots: createStore(client, RESOURCES.configMaps, { ...options, fieldSelector: `metadata.name=${ROOT_CA}` }),
    tokens: createStore(client, RESOURCES.secrets, { ...options, fieldSelector: `type=${TOKEN_SECRET_TYPE}` }),
  };
}

/** Default service account and root CA of every living namespace. */
async function furnishNamespaces({ client, ca }: PlatformOptions, stores: PlatformStores): Promise<void> {
  const living = stores.namespaces.list().filter((namespace) => namespace.metadata.deletionTimestamp === undefined);
  await attemptAll(
    living.flatMap(({ metadata: { name: namespace = '' } }) => {
      const account: ServiceAccount = { metadata: { name: 'default', namespace } };
      const root: ConfigMap = { metadata: { name: ROOT_CA, namespace }, data: { 'ca.crt': ca } };
      return [
        ...(stores.accounts.get('default', namespace) === undefined
          ? [() => client.create(RESOURCES.serviceAccounts, account, { namespace })]
          : []),
        ...(stores.roots.get(ROOT_CA, namespace) === undefined
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
 * What a controller manager does besides workloads, for API servers that do not do it themselves: default service accounts,
 * root CA, token Secrets, garbage collection, the end of namespaces. Runs until the signal is aborted; never rejects.
 */
export async function runPlatformControllers(options: PlatformOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, garbageMs = 2000 } = options;
  const stores = createStores(options);
  const all = Object.values(stores) as readonly Store<KubeObject>[];
  const loop = (name: string, work: (inner: AbortSignal) => Promise<void>, resyncMs: number): ReconcileLoop =>
    new ReconcileLoop({
      name,
      logger: options.logger.with({ controller: name }),
      clock,
      resyncMs,
      reconcile: async (inner) => {
        if (all.every((store) => store.synced)) await work(inner);
      },
    });
  const loops = [
    loop('namespaces', () => furnishNamespaces(options, stores), 60_000),
    loop('tokens', () => fillTokens(options, stores), 60_000),
    loop('garbage', (inner) => collectGarbage(client, inner), garbageMs),
  ];
  for (const store of all) store.onChange(() => loops.slice(0, 2).forEach((one) => one.trigger()));
  await Promise.all([...all.map((store) => store.run(signal)), ...loops.map((one) => one.run(signal))]);
}
