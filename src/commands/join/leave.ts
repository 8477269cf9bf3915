import type { Cluster, Endpoint } from '../../api/types.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { isCredentialOf } from '../brokercredential.ts';
import { type Written, written } from '../objects.ts';
import { memberAccount } from './brokerview.ts';
import { memberObjects } from './member.ts';

/** What became of a membership. */
export interface Left {
  readonly removed: readonly Written[];
  /** Whether the credentials do not suffice to give the claim of the ID up. */
  readonly claimKept: boolean;
}

/** Rights that are gone are refused so soon; a request that was under way by then may come after. */
const RIGHTS_MS = 1000;
/** API servers remember for 10 s that a token was good (the success TTL of their token authenticators). */
const TOKENS_MS = 11_000;
const LOOK_MS = 200;
/** Without rights and without an account nobody comes back for so long: somebody else publishes for it. */
const EXPEL_MS = 30_000;

/**
 * Takes a cluster out that is at work and may not agree: what it publishes would come back as long as it has rights, so
 * those go first, and what came back all the same is deleted until nothing has for a while. When neither its rights nor
 * its account may be deleted, what it published stays too. Rejects with ExpectedError when it comes back for 30 s.
 */
export async function expelFromBroker(
  client: KubeClient,
  clock: Clock,
  { namespace, clusterId }: { readonly namespace: string; readonly clusterId: string },
): Promise<Left> {
  const rights = await removeAll(client, namespace, memberObjects({ namespace, clusterId }));
  const account = rights.denied ? await removeAll(client, namespace, accountOf(clusterId)) : NOTHING;
  if (account.denied) return { removed: rights.removed, claimKept: true };
  const left = await leaveBroker(client, namespace, clusterId);
  const removed = [...rights.removed, ...account.removed, ...left.removed];
  const quietMs = rights.denied ? TOKENS_MS : RIGHTS_MS;
  const startedMs = clock.monotonic();
  for (let sinceMs = startedMs; clock.monotonic() - sinceMs < quietMs;) {
    await clock.sleep(LOOK_MS);
    const again = await removeAll(client, namespace, await published(client, namespace, clusterId));
    if (again.removed.length === 0) continue;
    sinceMs = clock.monotonic();
    if (sinceMs - startedMs >= EXPEL_MS) throw comesBack(again.removed, { namespace, clusterId });
  }
  return { ...left, removed };
}

function comesBack(
  removed: readonly Written[],
  { namespace, clusterId }: { readonly namespace: string; readonly clusterId: string },
): ExpectedError {
  const names = removed.map(({ kind, name }) => `${kind} ${name}`).join(', ');
  return new ExpectedError(`${names} of cluster ${clusterId} came back on the broker for ${EXPEL_MS / 1000} s`, {
    hint: `Its rights and its account are gone, so another account writes them: kubectl -n ${namespace} get endpoints.submariner.io,clusters.submariner.io --show-managed-fields -o yaml tells which program. Then run it again.`,
  });
}

/**
 * Takes a cluster out of the set: its Endpoints, Cluster, tokens and role bindings on the broker, and at last the service
 * account that is the claim of its ID, so that an interrupted run can be repeated. With a member's own credentials what
 * belongs to the account is left to the broker's garbage collector.
 */
export async function leaveBroker(client: KubeClient, namespace: string, clusterId: string): Promise<Left> {
  const account = memberAccount(clusterId);
  const secrets = (await listSecrets(client, namespace)).filter((one) => isCredentialOf(one, { account, clusterId }));
  const doomed = [
    ...(await published(client, namespace, clusterId)),
    ...named(RESOURCES.secrets, secrets),
    ...memberObjects({ namespace, clusterId }),
  ];
  const { removed } = await removeAll(client, namespace, doomed);
  const claim = await removeAll(client, namespace, accountOf(clusterId));
  return { removed: [...removed, ...claim.removed], claimKept: claim.denied };
}

type Named = readonly [ResourceType, string];

interface Removal {
  readonly removed: readonly Written[];
  /** The credentials do not suffice for all of it. */
  readonly denied: boolean;
}

const NOTHING: Removal = { removed: [], denied: false };

function accountOf(clusterId: string): readonly Named[] {
  return [[RESOURCES.serviceAccounts, memberAccount(clusterId)]];
}

async function removeAll(client: KubeClient, namespace: string, objects: readonly Named[]): Promise<Removal> {
  const removed: Written[] = [];
  let denied = false;
  for (const [type, name] of objects) {
    try {
      if (await client.delete(type, name, { namespace }))
        removed.push(written({ kind: type.kind, metadata: { name, namespace } }, 'broker', 'deleted'));
    } catch (error) {
      if (!isForbidden(error)) throw error;
      denied = true;
    }
  }
  return { removed, denied };
}

function named(type: ResourceType, objects: readonly KubeObject[]): readonly Named[] {
  return objects.map(({ metadata }) => [type, metadata.name ?? ''] as const);
}

/** What a cluster has published. */
async function published(client: KubeClient, namespace: string, clusterId: string): Promise<readonly Named[]> {
  const [endpoints, clusters] = await Promise.all([
    client.list<Endpoint & KubeObject>(RESOURCES.endpoints, { namespace }),
    client.list<Cluster & KubeObject>(RESOURCES.clusters, { namespace }),
  ]);
  return [
    ...named(
      RESOURCES.endpoints,
      endpoints.items.filter((one) => isOf(one, clusterId)),
    ),
    ...named(
      RESOURCES.clusters,
      clusters.items.filter((one) => isOf(one, clusterId)),
    ),
  ];
}

/** Written by others: the spec may be missing. */
function isOf(object: { readonly spec?: { readonly cluster_id?: string } }, clusterId: string): boolean {
  return object.spec?.cluster_id === clusterId;
}

async function listSecrets(client: KubeClient, namespace: string): Promise<readonly Secret[]> {
  try {
    return (await client.list<Secret>(RESOURCES.secrets, { namespace })).items;
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}
