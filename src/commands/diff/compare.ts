import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeApiError, KubeConnectionError } from '../../kube/errors.ts';
import type { Namespace } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { hasAdmissionPolicies } from '../deploybroker/admission.ts';
import { accessManifests } from '../deploybroker/plan.ts';
import { compareAtBroker } from '../drift/atbroker.ts';
import { compareObjects, type ObjectDrift } from '../drift/comparison.ts';
import { extraDrift, findExtras } from '../drift/extra.ts';
import { isOurs, recordedSettings } from '../drift/recorded.ts';
import { type DaemonSecrets, readDaemonSecrets } from '../drift/secrets.ts';
import { joinManifests } from '../join/manifests.ts';
import type { JoinSettings } from '../join/configuration.ts';
import { requireRights } from '../rights.ts';
import type { ShownCluster } from '../show/view.ts';
import { findMembership } from '../uninstall/membership.ts';
import { findBrokers, findDefinitions, type HostedBroker } from '../uninstall/survey.ts';
import { driftRights } from './rights.ts';
import type { DiffOptions } from './options.ts';

/** What was found in one cluster. */
export interface ClusterDrift {
  readonly objects: readonly ObjectDrift[];
  /** What could not be compared, and why. */
  readonly unchecked: readonly { readonly what: string; readonly reason: string }[];
}

/** Why there is nothing to compare a cluster with; undefined when there is. */
export function notComparable({ cluster, submariner }: ShownCluster): string | undefined {
  if (submariner === undefined)
    return `cluster ${cluster} has not joined: there is no Submariner object in namespace ${OPERATOR_NAMESPACE}`;
  if (isOurs(submariner)) return undefined;
  return `cluster ${cluster} was joined by another program: what it deploys is not known here`;
}

/** Compares a cluster that has joined, and what its broker knows of it; changes nothing. */
export async function compareCluster(
  run: CommandRun,
  target: ShownCluster & { readonly submariner: Submariner },
  options: DiffOptions,
): Promise<ClusterDrift> {
  const { client, submariner } = target;
  const { context } = run;
  await requireRights([{ where: target.name, client, rights: driftRights() }]);
  const secrets = await readDaemonSecrets(client);
  const settings = recordedSettings(submariner, context.version);
  const manifests = joinManifests(context.templatesDir, settings);
  const extras = (await findExtras(client, manifests)).map(extraDrift);
  const local = [...(await compareObjects({ client, on: 'cluster' }, manifests)), ...secrets.drifts, ...extras];
  if (options.onlyCluster) return { objects: local, unchecked: [] };
  const hosted = await findBrokers(client, await findDefinitions(client));
  const access = await compareHosted(context.templatesDir, client, hosted);
  const broker = await compareBroker({ run, target, options, hosted, secrets, settings });
  return { objects: [...local, ...access, ...broker.objects], unchecked: broker.unchecked };
}

/** What deploy-broker applies for the members: in the cluster of the broker itself. */
async function compareHosted(
  templatesDir: string,
  client: KubeClient,
  hosted: readonly HostedBroker[],
): Promise<readonly ObjectDrift[]> {
  if (hosted.length === 0) return [];
  const policies = await hasAdmissionPolicies(client);
  const found = hosted.map(async ({ namespace }) =>
    compareObjects({ client, on: 'broker' }, accessManifests(templatesDir, namespace, policies)),
  );
  return (await Promise.all(found)).flat();
}

interface BrokerComparison {
  readonly run: CommandRun;
  readonly target: ShownCluster & { readonly submariner: Submariner };
  readonly options: DiffOptions;
  readonly hosted: readonly HostedBroker[];
  readonly secrets: DaemonSecrets;
  readonly settings: JoinSettings;
}

async function compareBroker(comparison: BrokerComparison): Promise<ClusterDrift> {
  const { run, target, options, hosted, secrets, settings } = comparison;
  const { client, submariner } = target;
  const { uid: clusterUid = '' } = (await client.get<Namespace>(RESOURCES.namespaces, 'kube-system')).metadata;
  const what = `broker ${submariner.spec.brokerK8sApiServer}`;
  const found = await findMembership(run, target, { submariner, brokers: hosted, clusterUid }, options);
  if (found === undefined)
    return { objects: [], unchecked: [{ what, reason: 'the cluster has no credentials for it' }] };
  try {
    const member = { ...found, local: client, settings, clusterUid, psk: secrets.psk };
    const objects = await compareAtBroker(member);
    const reason = 'the credentials of a member may not read it; give broker-info.subm or --broker-context';
    const unchecked = found.asBroker ? [] : [{ what: `account of the cluster on the ${what}`, reason }];
    return { objects, unchecked };
  } catch (error) {
    if (!(error instanceof KubeConnectionError) && !(error instanceof KubeApiError)) throw error;
    return { objects: [], unchecked: [{ what, reason: messageOf(error) }] };
  }
}
