import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import { readToken } from '../../api/token.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { formatDuration } from '../duration.ts';
import type { Column } from '../output.ts';
import { pskFingerprint } from '../pskfingerprint.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** Something a cluster shows itself with, as -o json prints it. */
interface CredentialItem {
  readonly cluster: string;
  readonly kind: 'broker' | 'psk';
  /** Service account at the broker, or fingerprint of the key. */
  readonly identity: string;
  readonly issued: string | null;
  /** null: it does not end. */
  readonly expires: string | null;
  readonly secondsLeft: number | null;
  readonly state: 'valid' | 'renewal due' | 'expired' | 'endless';
}

const COLUMNS: readonly Column<CredentialItem>[] = [
  { header: 'CREDENTIAL', value: ({ kind }) => (kind === 'broker' ? 'at the broker' : 'pre-shared key') },
  { header: 'IDENTITY', value: ({ identity }) => identity, maxWidth: 30 },
  { header: 'ISSUED', value: ({ issued }) => issued ?? undefined, wideOnly: true },
  { header: 'EXPIRES', value: ({ expires }) => expires ?? 'never' },
  {
    header: 'LEFT',
    value: ({ secondsLeft }) => (secondsLeft === null ? undefined : formatDuration(secondsLeft * 1000)),
  },
  { header: 'STATE', value: ({ state }) => state },
];

/** Gateways renew after half of the time; a little later it is overdue. */
const DUE_BELOW = 0.45;

function brokerItem({ clusterId, nowMs }: ShownCluster, token: string): CredentialItem {
  const { account, issuedAtMs, expiresAtMs } = readToken(token);
  const leftMs = expiresAtMs === undefined ? undefined : expiresAtMs - nowMs;
  return {
    cluster: clusterId,
    kind: 'broker',
    identity: account ?? '',
    issued: timeOf(issuedAtMs),
    expires: timeOf(expiresAtMs),
    secondsLeft: leftMs === undefined ? null : Math.max(0, Math.round(leftMs / 1000)),
    state: stateOf(leftMs, expiresAtMs === undefined ? 0 : expiresAtMs - (issuedAtMs ?? nowMs)),
  };
}

function stateOf(leftMs: number | undefined, lifeMs: number): CredentialItem['state'] {
  if (leftMs === undefined) return 'endless';
  if (leftMs <= 0) return 'expired';
  return leftMs < lifeMs * DUE_BELOW ? 'renewal due' : 'valid';
}

function pskItem({ clusterId }: ShownCluster, psk: string): CredentialItem {
  const identity = `sha256:${pskFingerprint(Buffer.from(psk, 'base64')).slice(0, 16)}`;
  const never = { issued: null, expires: null, secondsLeft: null, state: 'endless' } as const;
  return { cluster: clusterId, kind: 'psk', identity, ...never };
}

async function readCredentials(cluster: ShownCluster): Promise<readonly CredentialItem[]> {
  const read = async (name: string, key: string): Promise<string> => {
    const secret = await cluster.client.find<Secret>(RESOURCES.secrets, name, { namespace: OPERATOR_NAMESPACE });
    return secret?.data?.[key] ?? '';
  };
  const [token, psk] = await Promise.all([read(BROKER_SECRET, 'token'), read(PSK_SECRET, 'psk')]);
  return [
    ...(token === '' ? [] : [brokerItem(cluster, Buffer.from(token, 'base64').toString())]),
    ...(psk === '' ? [] : [pskItem(cluster, psk)]),
  ];
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** `subctl credentials show`; not part of `show all`, as it reads Secrets. */
export const credentialsView: View = {
  name: 'credentials',
  summary: 'credentials of the clusters and when they end',
  joinedOnly: true,
  empty: 'no credentials found',
  emptyIsFailure: false,
  read: async (cluster) =>
    shown(await readCredentials(cluster), COLUMNS, ({ cluster: id, kind }) => `credential/${id}-${kind}`),
};
