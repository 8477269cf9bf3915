import type { KubeClient } from '../../kube/client.ts';
import { isAlreadyExists } from '../../kube/errors.ts';
import type { ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import {
  type BrokerView,
  CLAIM_ANNOTATION,
  CLAIM_CIDRS_ANNOTATION,
  memberAccount,
  otherNetworks,
  readBroker,
} from './brokerview.ts';
import { outerOverlaps, type ClusterNetworks } from './cidrs.ts';

/** Who wants to own an ID in the ClusterSet. */
export interface Claimant {
  readonly clusterId: string;
  /** uid of the cluster's kube-system namespace: the same as long as the cluster lives. */
  readonly clusterUid: string;
  /** Whether the cluster's own Submariner object says that it joined this broker under this ID. */
  readonly joinedBefore: boolean;
}

/** Whether the ID is free, ours, or another cluster's (with who). */
type ClaimState = 'free' | 'ours' | { readonly takenBy: string };

/** Who owns the ID according to what the broker holds. A claim of unknown origin is ours only if we joined before. */
function claimState(view: BrokerView, claimant: Claimant): ClaimState {
  const account = view.members.find(({ metadata }) => metadata.name === memberAccount(claimant.clusterId));
  const owner = account?.metadata.annotations?.[CLAIM_ANNOTATION];
  if (owner === claimant.clusterUid) return 'ours';
  if (owner !== undefined) return { takenBy: `the cluster with kube-system uid ${owner}` };
  const known = account !== undefined || view.clusters.some(({ spec }) => spec.cluster_id === claimant.clusterId);
  if (!known) return 'free';
  return claimant.joinedBefore ? 'ours' : { takenBy: 'a cluster that was not joined by this subctl' };
}

/** Throws ExpectedError when the ID belongs to another cluster. */
export function refuseTakenId(view: BrokerView, claimant: Claimant, namespace: string): void {
  const state = claimState(view, claimant);
  if (typeof state === 'object') throw takenError(claimant.clusterId, state.takenBy, namespace);
}

function takenError(clusterId: string, takenBy: string, namespace: string): ExpectedError {
  return new ExpectedError(`cluster ID ${clusterId} is taken by ${takenBy}`, {
    hint: `Choose another one with --clusterid. If that cluster is gone for good, on the broker: kubectl -n ${namespace} delete serviceaccount/${memberAccount(clusterId)} clusters.submariner.io/${clusterId}`,
  });
}

/** The service account that claims an ID for a cluster. */
export function claimObject(claimant: Claimant, networks: ClusterNetworks): ServiceAccount {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: memberAccount(claimant.clusterId),
      labels: { 'subctl.submariner.io/cluster': claimant.clusterId },
      annotations: {
        [CLAIM_ANNOTATION]: claimant.clusterUid,
        [CLAIM_CIDRS_ANNOTATION]: [...networks.podCidrs, ...networks.serviceCidrs].join(','),
      },
    },
  };
}

/**
 * Makes the ID ours on the broker, or rejects with ExpectedError. The claim is the creation of the member's service
 * account, which the API server grants to exactly one of any number of clusters that try at the same moment.
 *
 * INVARIANTS:
 * - nobody overwrites a claim of another cluster: writes go through create, or through a guarded update of a claim already ours;
 * - two clusters with overlapping CIDRs that claim different IDs at the same moment never both go on: each looks again
 *   after its claim has become visible, so at least the later one sees the other; it takes its claim back.
 */
export async function claimClusterId(
  client: KubeClient,
  namespace: string,
  claimant: Claimant,
  networks: ClusterNetworks,
): Promise<'created' | 'configured' | 'unchanged'> {
  const object = claimObject(claimant, networks);
  try {
    await client.create(RESOURCES.serviceAccounts, object, { namespace, fieldManager: 'subctl' });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return renewClaim(client, namespace, claimant, object);
  }
  const overlaps = outerOverlaps(networks, otherNetworks(await readBroker(client, namespace), [claimant.clusterId]));
  if (overlaps.length > 0) {
    await client.delete(RESOURCES.serviceAccounts, memberAccount(claimant.clusterId), { namespace });
    throw new ExpectedError(`cannot join, another cluster joined just now: ${overlaps.join('; ')}`, {
      hint: 'Clusters of a set need different pod and service CIDRs. The claim of the ID was taken back.',
    });
  }
  return 'created';
}

async function renewClaim(
  client: KubeClient,
  namespace: string,
  claimant: Claimant,
  object: ServiceAccount,
): Promise<'configured' | 'unchanged'> {
  const state = claimState(await readBroker(client, namespace), claimant);
  if (typeof state === 'object') throw takenError(claimant.clusterId, state.takenBy, namespace);
  const name = memberAccount(claimant.clusterId);
  const before = await client.get<ServiceAccount>(RESOURCES.serviceAccounts, name, { namespace });
  const metadata = {
    ...before.metadata,
    labels: { ...before.metadata.labels, ...object.metadata.labels },
    annotations: { ...before.metadata.annotations, ...object.metadata.annotations },
  };
  // A whole update, because the broker role of upstream does not grant patch; resourceVersion guards it.
  const options = { namespace, fieldManager: 'subctl' };
  const after = await client.replace<ServiceAccount>(RESOURCES.serviceAccounts, { ...before, metadata }, options);
  return after.metadata.resourceVersion === before.metadata.resourceVersion ? 'unchanged' : 'configured';
}
