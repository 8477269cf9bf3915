import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { pskOf, renderBrokerInfo } from '../../api/brokerinfo.ts';
import { BROKER_NAME, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import { fingerprintOf, keysInForce } from '../../api/psk.ts';
import type { Gateway } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { atBroker, type BrokerAdmin, brokerAdmin } from '../brokeradmin.ts';
import { writeBrokerInfoFile } from '../brokerinfofile.ts';
import type { CommandRun } from '../context.ts';
import { pskSecret } from '../deploybroker/psk.ts';
import { readBroker } from '../join/brokerview.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';
import { overClusters } from '../show/loop.ts';
import { reportProblems } from '../show/run.ts';
import type { ShownCluster } from '../show/view.ts';
import { type Deadline, startDeadline, waitFor } from '../waiting.ts';
import type { RotateOptions } from './options.ts';
import { advanced, type HeldKeys, keyOnTheWay, type PskStage, stageOf } from './pskstage.ts';

const DEFAULT_TIMEOUT_MS = 2 * 60_000;
const PSK_BYTES = 48;

interface KeyHolder {
  readonly cluster: ShownCluster;
  readonly secret: Secret;
  readonly keys: HeldKeys;
}

/**
 * Gives all clusters of a set a new pre-shared key while traffic flows. First every cluster accepts it, then every cluster
 * uses it, at last the old one is forgotten; each stage begins when the gateways of all clusters say that they are through
 * with the one before. What is on the way is in the Secrets of the clusters, so that an interrupted run goes on.
 */
export async function rotatePsk(run: CommandRun, options: RotateOptions): Promise<void> {
  const { reporter, context, flags } = run;
  const admin = await brokerAdmin(run, options.brokerInfo);
  const holders = await readHolders(run);
  await atBroker(admin, async () => requireAll(admin, holders));
  const deadline = startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const key = keyOnTheWay(holders.map(({ keys }) => keys)) ?? randomBytes(PSK_BYTES).toString('base64');
  await stage(run, key, { from: 'old', to: 'accepts', what: 'accept the new key' }, deadline);
  await stage(run, key, { from: 'accepts', to: 'uses', what: 'use the new key' }, deadline);
  await record(run, admin, key);
  await stage(run, key, { from: 'uses', to: 'done', what: 'have forgotten the old key' }, deadline);
  reporter.done(
    `All clusters have a new pre-shared key: ${holders.map(({ cluster }) => cluster.clusterId).join(', ')}`,
  );
}

async function readHolders(run: CommandRun): Promise<readonly KeyHolder[]> {
  const { results, problems } = await overClusters(run, async (cluster) => {
    if (cluster.submariner === undefined) return undefined;
    const secret = await cluster.client.get<Secret>(RESOURCES.secrets, PSK_SECRET, { namespace: OPERATOR_NAMESPACE });
    const { psk = '', 'psk-next': next = '', 'psk-previous': previous = '' } = secret.data ?? {};
    return { cluster, secret, keys: { clusterId: cluster.clusterId, psk, next, previous } };
  });
  reportProblems(run, problems);
  const holders = results.flatMap(({ value }) => value ?? []);
  if (problems.length === 0 && holders.length > 0) return holders;
  throw new ExpectedError('the pre-shared key can be changed only with all clusters of the set at hand', {
    hint: 'Choose their contexts with --contexts east,west. What was begun goes on when the command is run again.',
  });
}

/** A cluster that is left out could not connect to the others any more. */
async function requireAll({ client, access }: BrokerAdmin, holders: readonly KeyHolder[]): Promise<void> {
  const { clusters } = await readBroker(client, access.namespace);
  const known = new Set(holders.map(({ cluster }) => cluster.clusterId));
  const missing = clusters.map(({ spec }) => spec.cluster_id).filter((id) => !known.has(id));
  if (missing.length === 0) return;
  throw new ExpectedError(`clusters of the set are not among the contexts: ${missing.join(', ')}`, {
    hint: 'Give the contexts of all with --contexts, or cut off those that are lost: subctl credentials revoke CLUSTER. Nothing was changed.',
  });
}

interface Stage {
  readonly from: PskStage;
  readonly to: PskStage;
  /** Completes "All gateways …". */
  readonly what: string;
}

/** Changes the Secrets of all clusters at one moment, as far as they are at the stage before, and waits for the gateways. */
async function stage(run: CommandRun, key: string, { from, to, what }: Stage, deadline: Deadline): Promise<void> {
  await run.reporter.step(`Waiting until all gateways ${what}`, async (step) => {
    const holders = await readHolders(run);
    await Promise.all(
      holders
        .filter(({ keys }) => stageOf(keys, key) === from)
        .map(async ({ cluster, secret, keys }) => {
          const changed = { ...secret, data: advanced(keys, key) };
          await cluster.client.replace(RESOURCES.secrets, changed, { namespace: OPERATOR_NAMESPACE });
        }),
    );
    for (const { cluster } of holders) await untilInForce(cluster, { key, to, what }, deadline, step.update);
    step.done(`All gateways ${what}`);
  });
}

async function untilInForce(
  { client, clusterId }: ShownCluster,
  { key, to, what }: { readonly key: string; readonly to: PskStage; readonly what: string },
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<void> {
  const fingerprint = fingerprintOf(pskFingerprint(Buffer.from(key, 'base64')));
  await waitFor<true>({
    deadline,
    what: `the gateways of cluster ${clusterId} to ${what.replace('have forgotten', 'forget')}`,
    hint: 'Traffic goes on with the old key or the new one. subctl show gateways tells what is wrong; running the command again goes on.',
    intervalMs: 200,
    onPending,
    look: async () => {
      const { items } = await client.list<Gateway & KubeObject>(RESOURCES.gateways, { namespace: OPERATOR_NAMESPACE });
      const late = items.filter((gateway) => !isInForce(gateway, fingerprint, to));
      if (late.length === 0) return { done: true };
      const names = late.map(({ metadata }) => metadata.name ?? '').join(', ');
      return { pending: `cluster ${clusterId}: ${names} does not yet` };
    },
  });
}

function isInForce(gateway: Gateway, fingerprint: string, to: PskStage): boolean {
  const keys = keysInForce(gateway);
  if (keys === undefined) return false;
  if (to === 'done') return keys.used === fingerprint && keys.accepted.length === 0;
  if (to === 'uses') return keys.used === fingerprint;
  return keys.used === fingerprint || keys.accepted.includes(fingerprint);
}

/** From here on clusters join with the new key. */
async function record(run: CommandRun, admin: BrokerAdmin, key: string): Promise<void> {
  const { client, access, info, file } = admin;
  const { reporter, context } = run;
  const psk = Buffer.from(key, 'base64');
  const annotations = { [PSK_FINGERPRINT_ANNOTATION]: pskFingerprint(psk) };
  try {
    const options = { namespace: access.namespace, patchType: 'merge', fieldManager: 'subctl' } as const;
    await client.patch(RESOURCES.brokers, BROKER_NAME, { metadata: { annotations } }, options);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    reporter.warn(
      `the broker does not let ${file} record the new key: subctl deploy-broker --new-ipsec-psk --ipsec-psk-from ${file} on the broker does`,
    );
  }
  if (pskOf(info)?.equals(psk) === true) return;
  const content = renderBrokerInfo({ ...info, ipsecPsk: pskSecret(psk) });
  const { kept } = await writeBrokerInfoFile(path.resolve(context.cwd, file), content, context.clock.now());
  reporter.done(`Wrote ${file} with the new key`);
  if (kept !== undefined) reporter.info(`   the earlier file is kept as ${path.basename(kept)}`);
}
