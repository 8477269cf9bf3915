import { BROKER_SECRET, OPERATOR_NAMESPACE } from '../../api/names.ts';
import { readToken } from '../../api/token.ts';
import { isForbidden, isUnauthorized } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { CREDENTIAL_SECONDS, type CredentialOwner, issueCredential } from '../brokercredential.ts';
import { ensureTokenSecret } from '../brokertoken.ts';
import type { CommandRun } from '../context.ts';
import { type Written, written } from '../objects.ts';
import type { Deadline } from '../waiting.ts';
import type { JoinPlan } from './preflight.ts';

/** How a joined cluster shows itself to the broker. */
export interface ClusterCredential {
  readonly token: string;
  readonly records: readonly Written[];
  /** The broker gives only tokens that never end. */
  readonly endless: boolean;
}

/**
 * The credential of the cluster: the one it has while that is good and half of its time is left, else a new one. Where the
 * broker gives no tokens that end, one that does not, from its token controller.
 */
export async function ensureCredential(
  run: CommandRun,
  plan: JoinPlan,
  owner: CredentialOwner,
  wait: { readonly deadline: Deadline; readonly onPending: (text: string) => void },
): Promise<ClusterCredential> {
  const { brokerClient, settings } = plan;
  const held = await heldToken(plan);
  const seconds = secondsOf(settings.options.brokerTokenExpiry, held);
  if (held !== undefined && (await isGood(run, plan, { token: held, owner, seconds })))
    return { token: held, records: [], endless: false };
  const issued = await issueCredential(brokerClient, owner, seconds);
  if (issued !== undefined) return { token: issued.token, records: [issued.record], endless: false };
  const { secret, outcome } = await ensureTokenSecret(brokerClient, owner, wait.deadline, wait.onPending);
  const token = Buffer.from(secret.data?.['token'] ?? '', 'base64').toString();
  return { token, records: [written({ ...secret, kind: 'Secret' }, 'broker', outcome)], endless: true };
}

/** Seconds that a credential is to last: as told, else as the one before. */
export function secondsOf(expiryMs: number | undefined, held: string | undefined): number {
  if (expiryMs !== undefined) return Math.round(expiryMs / 1000);
  const { issuedAtMs, expiresAtMs } = readToken(held ?? '');
  if (issuedAtMs === undefined || expiresAtMs === undefined) return CREDENTIAL_SECONDS;
  return Math.round((expiresAtMs - issuedAtMs) / 1000);
}

async function heldToken({ target }: JoinPlan): Promise<string | undefined> {
  const at = { namespace: OPERATOR_NAMESPACE };
  const token = (await target.client.find<Secret>(RESOURCES.secrets, BROKER_SECRET, at))?.data?.['token'];
  return token === undefined ? undefined : Buffer.from(token, 'base64').toString();
}

interface Held {
  readonly token: string;
  readonly owner: CredentialOwner;
  readonly seconds: number;
}

async function isGood(run: CommandRun, plan: JoinPlan, { token, owner, seconds }: Held): Promise<boolean> {
  const { account, namespace, issuedAtMs, expiresAtMs } = readToken(token);
  if (account !== owner.account || namespace !== owner.namespace) return false;
  if (expiresAtMs === undefined || issuedAtMs === undefined) return false;
  const asLong = Math.round((expiresAtMs - issuedAtMs) / 1000) === seconds;
  if (!asLong || expiresAtMs - run.context.clock.now() < (expiresAtMs - issuedAtMs) / 2) return false;
  const { broker, options } = plan.settings;
  const insecure = !options.checkBrokerCertificate;
  const access = await run.access();
  const client = await access.broker({ ...broker, token, insecure, source: `Secret ${BROKER_SECRET}` });
  try {
    await client.list(RESOURCES.clusters, { namespace, limit: 1 });
    return true;
  } catch (error) {
    if (isUnauthorized(error) || isForbidden(error)) return false;
    throw error;
  } finally {
    client.close();
  }
}
