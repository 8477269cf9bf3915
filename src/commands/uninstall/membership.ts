import path from 'node:path';
import { brokerAccessOf } from '../../api/brokerinfo.ts';
import { BROKER_NAMESPACE, BROKER_SECRET, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { SubmarinerSpec } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound, isUnauthorized, KubeConnectionError } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import { readBrokerInfoFile } from '../brokerinfofile.ts';
import type { CommandRun } from '../context.ts';
import { claimsOf, memberAccount, readBroker } from '../join/brokerview.ts';
import { leaveBroker } from '../join/leave.ts';
import type { Written } from '../objects.ts';
import type { UninstallOptions } from './options.ts';
import type { Survey } from './survey.ts';

/** The broker of a cluster, and with whose credentials it is reached. */
export interface Membership {
  readonly client: KubeClient;
  readonly server: string;
  readonly namespace: string;
  /** Whether these are the broker's credentials; else a member's, which may do less. */
  readonly asBroker: boolean;
  /** The ID that the cluster's own record says it has. */
  readonly recordedId: string | undefined;
}

/** What became of a membership. */
export interface LeftSet {
  readonly outcome: 'left' | 'kept' | 'unreachable' | 'none';
  /** Why the cluster is still known to the broker; empty when it is not. */
  readonly reason: string;
  readonly server: string;
  readonly namespace: string;
  /** IDs that were, or are to be, given up. */
  readonly clusterIds: readonly string[];
  readonly records: readonly Written[];
}

/** How the broker can be reached, best credentials first; undefined when nothing tells where it is. */
export async function findMembership(
  run: CommandRun,
  target: ClusterAccess,
  { submariner, brokers, clusterUid }: Pick<Survey, 'submariner' | 'brokers' | 'clusterUid'>,
  options: Pick<UninstallOptions, 'brokerInfo' | 'brokerContext'>,
): Promise<Membership | undefined> {
  const recordedId = submariner?.spec.clusterID;
  const recorded = submariner?.spec.brokerK8sRemoteNamespace;
  const access = await run.access();
  if (options.brokerInfo !== undefined) {
    const info = await readBrokerInfoFile(path.resolve(run.context.cwd, options.brokerInfo), run.context.clock.now());
    const found = brokerAccessOf(info);
    const client = await access.broker({ ...found, insecure: false, source: options.brokerInfo });
    return { client, server: found.server, namespace: found.namespace, asBroker: true, recordedId };
  }
  if (options.brokerContext !== undefined) {
    const { client, server } = await access.connect(options.brokerContext);
    return { client, server, namespace: recorded ?? BROKER_NAMESPACE, asBroker: true, recordedId };
  }
  const hosted = brokers.find(
    ({ namespace, view }) =>
      claimsOf(view, clusterUid).length > 0 || (namespace === recorded && isHere(submariner?.spec, target.server)),
  );
  if (hosted !== undefined) {
    return { client: target.client, server: target.server, namespace: hosted.namespace, asBroker: true, recordedId };
  }
  return submariner === undefined ? undefined : asMember(run, target.client, submariner.spec);
}

function isHere(spec: SubmarinerSpec | undefined, server: string): boolean {
  return server.replace(/^https?:\/\//, '') === spec?.brokerK8sApiServer;
}

async function asMember(run: CommandRun, client: KubeClient, spec: SubmarinerSpec): Promise<Membership | undefined> {
  const name = spec.brokerK8sSecret ?? BROKER_SECRET;
  const secret = await client.find<Secret>(RESOURCES.secrets, name, { namespace: OPERATOR_NAMESPACE });
  const decoded = (key: string): string => Buffer.from(secret?.data?.[key] ?? '', 'base64').toString();
  const token = decoded('token');
  if (token === '') return undefined;
  const server = spec.brokerK8sApiServer.includes('://')
    ? spec.brokerK8sApiServer
    : `https://${spec.brokerK8sApiServer}`;
  const namespace = spec.brokerK8sRemoteNamespace;
  const insecure = spec.brokerK8sInsecure === true;
  const ca = decoded('ca.crt') || undefined;
  const source = `Secret ${OPERATOR_NAMESPACE}/${name}`;
  const broker = await (await run.access()).broker({ server, token, ca, namespace, insecure, source });
  return { client: broker, server, namespace, asBroker: false, recordedId: spec.clusterID };
}

/** Takes the cluster out of its set; never rejects because the broker is away or denies it. */
export async function leaveSet(membership: Membership, clusterUid: string): Promise<LeftSet> {
  const { client, server, namespace, recordedId } = membership;
  const records: Written[] = [];
  let clusterIds: readonly string[] = recordedId === undefined ? [] : [recordedId];
  const result = (outcome: LeftSet['outcome'], reason = ''): LeftSet => ({
    outcome,
    reason,
    server,
    namespace,
    clusterIds,
    records,
  });
  try {
    clusterIds = await ownIds(membership, clusterUid);
    let kept = false;
    for (const id of clusterIds) {
      const left = await leaveBroker(client, namespace, id);
      records.push(...left.removed);
      kept ||= left.claimKept;
    }
    if (kept) return result('kept', 'the credentials of a member may not give up the claim of its ID');
    return result(records.length > 0 ? 'left' : 'none');
  } catch (error) {
    if (error instanceof KubeConnectionError) return result('unreachable', messageOf(error));
    // The account or the broker itself is gone: nobody is known there by these credentials.
    if (isUnauthorized(error) || isNotFound(error)) return result('unreachable', messageOf(error));
    throw error;
  }
}

/** IDs that are ours on the broker; a recorded one that another cluster has claimed since is not. */
async function ownIds(membership: Membership, clusterUid: string): Promise<readonly string[]> {
  const { client, namespace, asBroker, recordedId } = membership;
  if (!asBroker) return recordedId === undefined ? [] : [recordedId];
  const view = await readBroker(client, namespace);
  const claims = claimsOf(view, clusterUid);
  const account = view.members.find(({ metadata }) => metadata.name === memberAccount(recordedId ?? ''));
  const others = account?.metadata.annotations?.['subctl.submariner.io/claimed-by'] ?? clusterUid;
  const recorded = recordedId === undefined || others !== clusterUid ? [] : [recordedId];
  return [...new Set([...claims, ...recorded])].toSorted();
}

/** Whether an error is one of rights. */
export function isDenied(error: unknown): boolean {
  return isForbidden(error) || isUnauthorized(error);
}
