import type { KubeClient } from '../../kube/client.ts';
import { isAlreadyExists } from '../../kube/errors.ts';
import type { RoleBinding, Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ensureTokenSecret } from '../brokertoken.ts';
import { type Written, written } from '../objects.ts';
import type { Deadline } from '../waiting.ts';
import { memberAccount } from './brokerview.ts';

const MEMBER_ROLE = 'submariner-k8s-broker-cluster';

/** The role binding of a member on the broker. */
export function memberBinding(namespace: string, clusterId: string): RoleBinding {
  const account = memberAccount(clusterId);
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: `${account}-${MEMBER_ROLE}`, namespace, labels: { 'subctl.submariner.io/cluster': clusterId } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: MEMBER_ROLE },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
  };
}

/** Credentials of the joining cluster at the broker: role binding and token of its service account, which exists already. */
export async function ensureMember(
  client: KubeClient,
  at: { readonly namespace: string; readonly clusterId: string },
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<{ readonly token: Secret; readonly records: readonly Written[] }> {
  const { namespace, clusterId } = at;
  const binding = memberBinding(namespace, clusterId);
  const outcome = await createOnce(client, binding, namespace);
  const account = memberAccount(clusterId);
  const { secret, outcome: made } = await ensureTokenSecret(client, { namespace, account }, deadline, onPending);
  return {
    token: secret,
    records: [written(binding, 'broker', outcome), written({ ...secret, kind: 'Secret' }, 'broker', made)],
  };
}

async function createOnce(client: KubeClient, binding: RoleBinding, namespace: string): Promise<Written['outcome']> {
  try {
    await client.create(RESOURCES.roleBindings, binding, { namespace, fieldManager: 'subctl' });
    return 'created';
  } catch (error) {
    if (isAlreadyExists(error)) return 'unchanged';
    throw error;
  }
}
