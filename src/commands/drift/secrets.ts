import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { REDACTED } from '../gather/redact.ts';
import type { ObjectDrift } from './comparison.ts';

/** The keys without which the daemons cannot work; what they hold is nobody's business. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  [BROKER_SECRET]: ['token', 'namespace'],
  [PSK_SECRET]: ['psk'],
};

/** What the daemons are given in Secrets. */
export interface DaemonSecrets {
  readonly drifts: readonly ObjectDrift[];
  /** Empty when the Secret is missing. */
  readonly psk: Buffer;
}

/** Reads the Secrets that join made: which are missing or lack a key, and the pre-shared key. */
export async function readDaemonSecrets(client: KubeClient): Promise<DaemonSecrets> {
  const namespace = OPERATOR_NAMESPACE;
  const found = await Promise.all(
    Object.keys(KEYS).map(async (name) => client.find<Secret>(RESOURCES.secrets, name, { namespace })),
  );
  const drifts = Object.entries(KEYS).map(([name, keys], index) => driftOf(name, keys, found[index]));
  const psk = found.find((secret) => secret?.metadata.name === PSK_SECRET)?.data?.['psk'] ?? '';
  return { drifts, psk: Buffer.from(psk, 'base64') };
}

function driftOf(name: string, keys: readonly string[], secret: Secret | undefined): ObjectDrift {
  const lacking = keys.filter((key) => (secret?.data?.[key] ?? '') === '');
  const changes = lacking.map((key) => ({ path: `data.${key}`, live: undefined, wanted: REDACTED }));
  const described = { kind: 'Secret', name, namespace: OPERATOR_NAMESPACE, on: 'cluster', changedBy: [] } as const;
  if (secret === undefined) return { ...described, state: 'missing', changes: [] };
  return { ...described, state: changes.length === 0 ? 'same' : 'changed', changes };
}
