import { BROKER_SECRET, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { Secret, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { SHORTEST_TOKEN_SECONDS } from '../../kube/tokenrequest.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import { atBroker, type BrokerAdmin, brokerAdmin } from '../brokeradmin.ts';
import { endCredentials, issueCredential } from '../brokercredential.ts';
import type { CommandRun } from '../context.ts';
import { memberAccount } from '../join/brokerview.ts';
import { secondsOf } from '../join/credential.ts';
import { findRecorded } from '../join/localcluster.ts';
import { type Written, written } from '../objects.ts';
import { printResult, reportWritten } from '../report.ts';
import type { RotateOptions } from './options.ts';

/** Changes the credentials that the flags name. */
export async function rotateCredentials(run: CommandRun, options: RotateOptions): Promise<void> {
  if (!options.brokerToken && !options.psk) throw new UsageError('say what to change: --broker-token, --psk');
  if (options.expires !== undefined && options.expires < SHORTEST_TOKEN_SECONDS * 1000)
    throw new UsageError(`--expires: ${options.expires / 1000}s is shorter than 10m, the shortest that there is`);
  if (options.psk) await (await import('./psk.ts')).rotatePsk(run, options);
  if (options.brokerToken) await rotateBrokerToken(run, options);
}

async function rotateBrokerToken(run: CommandRun, options: RotateOptions): Promise<void> {
  const { reporter } = run;
  const target = await (await run.access()).current();
  const submariner = await requireJoined(target);
  const admin = await brokerAdmin(run, options.brokerInfo);
  const { clusterID: clusterId } = submariner.spec;
  const secret = await target.client.get<Secret>(RESOURCES.secrets, BROKER_SECRET, { namespace: OPERATOR_NAMESPACE });
  const records = await reporter.step(`Giving cluster ${clusterId} a new credential`, async (step) => {
    const changed = await atBroker(admin, async () => replaceToken(target, admin, { clusterId, secret, options }));
    step.done(`Cluster ${clusterId} has a new credential at the broker; the former ones have ended`);
    return changed;
  });
  reportWritten(run, records);
  await printResult(run, { clusterId, broker: admin.access.server }, records);
}

interface Replacement {
  readonly clusterId: string;
  /** As it is in the cluster now. */
  readonly secret: Secret;
  readonly options: RotateOptions;
}

/** The new one is in place before the former ones end: the gateways take it at once. */
async function replaceToken(
  target: ClusterAccess,
  { client, access }: BrokerAdmin,
  { clusterId, secret, options }: Replacement,
): Promise<readonly Written[]> {
  const { namespace } = access;
  const account = memberAccount(clusterId);
  const found = await client.find<ServiceAccount>(RESOURCES.serviceAccounts, account, { namespace });
  if (found === undefined) {
    throw new ExpectedError(`the broker ${access.server} knows no cluster ${clusterId}: it was revoked, or has left`, {
      hint: 'To come back it has to join again: subctl join broker-info.subm.',
    });
  }
  const owner = { namespace, clusterId, account, uid: found.metadata.uid ?? '' };
  const held = Buffer.from(secret.data?.['token'] ?? '', 'base64').toString();
  const issued = await issueCredential(client, owner, secondsOf(options.expires, held));
  if (issued === undefined) {
    throw new ExpectedError(`the broker ${access.server} gives no credentials that end`, {
      hint: 'It was made by another program or an older version: subctl deploy-broker on the broker, then join the cluster again.',
    });
  }
  const data = { ...secret.data, token: Buffer.from(issued.token).toString('base64') };
  await target.client.replace(RESOURCES.secrets, { ...secret, data }, { namespace: OPERATOR_NAMESPACE });
  const changed = written({ ...secret, kind: 'Secret' }, 'cluster', 'configured');
  return [issued.record, changed, ...((await endCredentials(client, owner, issued.token)) ?? [])];
}

async function requireJoined({ client, cluster }: ClusterAccess): Promise<Submariner> {
  const submariner = await findRecorded(client);
  if (submariner !== undefined) return submariner;
  throw new ExpectedError(`cluster ${cluster} has not joined: it has no credentials`, {
    hint: 'Give the context of a joined cluster with --context. Nothing was changed.',
  });
}
