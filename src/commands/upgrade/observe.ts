import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { DaemonSet, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES, resourceOf } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import { isOurs } from '../drift/recorded.ts';
import { listGateways } from '../gateway/handover.ts';
import { findRecorded } from '../join/localcluster.ts';
import { findBrokers, findDefinitions, type HostedBroker } from '../uninstall/survey.ts';
import { asBefore } from './before.ts';
import { type Observed, recordedVersion } from './plan.ts';
import { readSaved } from './saved.ts';
import { isNewer } from './versions.ts';

/** Reads what an upgrade depends on; rejects with ExpectedError for a cluster that has not joined. */
export async function observeCluster(
  target: ClusterAccess,
): Promise<Observed & { readonly brokers: readonly HostedBroker[] }> {
  const { client } = target;
  const at = { namespace: OPERATOR_NAMESPACE };
  const brokers = await findBrokers(client, await findDefinitions(client));
  const submariner = joined(target, await findRecorded(client), brokers);
  const [nodes, daemonSets, pods, gateways, saved] = await Promise.all([
    client.list<Node>(RESOURCES.nodes),
    client.list<DaemonSet>(RESOURCES.daemonSets, at),
    client.list<Pod>(RESOURCES.pods, at),
    listGateways(target),
    readSaved(client),
  ]);
  return {
    submariner,
    nodes: nodes.items,
    daemonSets: daemonSets.items,
    pods: pods.items,
    gateways,
    saved,
    brokers,
  };
}

function joined(
  { cluster, name }: ClusterAccess,
  submariner: Submariner | undefined,
  brokers: readonly HostedBroker[],
): Submariner {
  if (submariner === undefined) {
    const alone = `It holds a broker only: subctl deploy-broker --context ${name} brings that to the version of this subctl.`;
    throw new ExpectedError(`cluster ${cluster} has not joined, so there is nothing to upgrade`, {
      hint: brokers.length > 0 ? alone : `Join it: subctl join broker-info.subm --context ${name}`,
    });
  }
  if (isOurs(submariner)) return submariner;
  throw new ExpectedError(`cluster ${cluster} was joined by another program, which has to upgrade it`, {
    hint: 'To go over to this one, take the cluster out of the set with that program, and join it with subctl join.',
  });
}

/** Throws ExpectedError when the cluster, or what is asked for, is newer than this program. */
export function refuseNewer(
  cluster: string,
  observed: Observed,
  versions: { readonly own: string; readonly to: string },
): void {
  const { own, to } = versions;
  const running = [recordedVersion(observed.submariner), ...observed.gateways.map(({ status }) => status.version)];
  const newer = running.find((version) => isNewer(version, own));
  if (newer !== undefined) {
    throw new ExpectedError(`cluster ${cluster} runs version ${newer}, which is newer than this subctl (${own})`, {
      hint: `Use subctl ${newer} or newer. Nothing was changed.`,
    });
  }
  if (isNewer(to, own)) {
    throw new ExpectedError(
      `--to-version ${to} is newer than this subctl (${own}), which does not know its manifests`,
      {
        hint: `Use subctl ${to}. Nothing was changed.`,
      },
    );
  }
  const older = running.find((version) => isNewer(version, to));
  if (older === undefined || observed.saved !== undefined) return;
  throw new ExpectedError(`cluster ${cluster} runs version ${older}: ${to} would be a step back`, {
    hint: `Use subctl ${to} and its subctl join for that. Nothing was changed.`,
  });
}

/** Which of the objects are there now, as they are, and which are not. */
export async function readBefore(
  client: KubeClient,
  objects: readonly KubeObject[],
): Promise<{ readonly before: readonly KubeObject[]; readonly created: readonly KubeObject[] }> {
  const live = await Promise.all(objects.map(async (object) => findLive(client, object)));
  const before = objects.flatMap((object, index) => {
    const found = live[index];
    return found === undefined ? [] : [asBefore(found, object)];
  });
  const created = objects.filter((_, index) => live[index] === undefined);
  return {
    before,
    created: created.map(({ apiVersion = '', kind = '', metadata }) => ({ apiVersion, kind, metadata })),
  };
}

async function findLive(
  client: KubeClient,
  { apiVersion = '', kind = '', metadata }: KubeObject,
): Promise<KubeObject | undefined> {
  const type = resourceOf(apiVersion, kind);
  if (type === undefined) throw new Error(`unknown kind ${apiVersion} ${kind}`);
  const { name = '', namespace } = metadata;
  return client.find(type, name, namespace === undefined ? {} : { namespace });
}
