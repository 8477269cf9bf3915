import { clusterIdProblem, sanitizeClusterId } from '../../api/clusterid.ts';
import { OPERATOR_NAMESPACE, SUBMARINER_NAME } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { Namespace, Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** What has to be known of the cluster that joins. */
export interface LocalCluster {
  /** uid of its kube-system namespace: identifies the cluster as long as it lives. */
  readonly uid: string;
  /** As /version says, e.g. v1.32.4. */
  readonly kubernetesVersion: string;
  readonly nodes: readonly Node[];
  /** What an earlier join recorded. */
  readonly submariner: Submariner | undefined;
}

/** What an earlier join recorded; undefined also when it may not be read, which the check of rights tells better. */
export async function findRecorded(client: KubeClient): Promise<Submariner | undefined> {
  try {
    return await client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, { namespace: OPERATOR_NAMESPACE });
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** Reads the joining cluster; changes nothing. */
export async function readLocalCluster(client: KubeClient): Promise<LocalCluster> {
  const [system, version, nodes, submariner] = await Promise.all([
    client.get<Namespace>(RESOURCES.namespaces, 'kube-system'),
    client.request<{ readonly gitVersion?: string }>('GET', '/version'),
    client.list<Node>(RESOURCES.nodes),
    findRecorded(client),
  ]);
  return {
    uid: system.metadata.uid ?? '',
    kubernetesVersion: version.gitVersion ?? '',
    nodes: nodes.items,
    submariner,
  };
}

const MINIMUM = { major: 1, minor: 21 } as const;

/** Throws ExpectedError when the Kubernetes of the cluster is too old; a version that cannot be read passes. */
export function requireKubernetes(gitVersion: string): void {
  const match = /^v?(\d+)\.(\d+)/.exec(gitVersion);
  if (match === null) return;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  if (major > MINIMUM.major || (major === MINIMUM.major && minor >= MINIMUM.minor)) return;
  throw new ExpectedError(`Kubernetes ${gitVersion} is too old: ${MINIMUM.major}.${MINIMUM.minor} or newer is needed`, {
    hint: 'Upgrade the cluster, or try at your own risk with --ignore-requirements. Nothing was changed.',
  });
}

/** Under which IDs the cluster is known already. */
interface KnownAs {
  readonly submariner: Submariner | undefined;
  /** Claims on the broker, of joins that were interrupted. */
  readonly claimed: readonly string[];
}

/**
 * The ID to join under: the flag, else the one joined under before, else the one claimed by a join that did not end, else
 * the cluster's name made valid; undefined when there is no usable name. Throws ExpectedError when the cluster has joined
 * under another, or has several claims.
 */
export function chooseClusterId(
  flag: string | undefined,
  { submariner, claimed }: KnownAs,
  clusterName: string,
): string | undefined {
  const before = submariner?.spec.clusterID;
  if (flag !== undefined) {
    if (before !== undefined && before !== flag) {
      throw new ExpectedError(`this cluster has joined as ${before} already and cannot join as ${flag} too`, {
        hint: `Join as ${before}, or take it out of the set first: subctl uninstall`,
      });
    }
    return flag;
  }
  if (before !== undefined) return before;
  if (claimed.length > 1) {
    throw new ExpectedError(`this cluster has claimed several IDs on the broker: ${claimed.join(', ')}`, {
      hint: 'Interrupted joins left them. Say with --clusterid which one it is to have; the others are given up. Nothing was changed.',
    });
  }
  if (claimed[0] !== undefined) return claimed[0];
  const suggestion = sanitizeClusterId(clusterName);
  return clusterIdProblem(suggestion) === undefined ? suggestion : undefined;
}
