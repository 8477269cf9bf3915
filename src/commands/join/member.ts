import type { KubeClient, KubeObject, OwnerReference, ResourceType } from '../../kube/client.ts';
import { isAlreadyExists, isForbidden } from '../../kube/errors.ts';
import type { Role, RoleBinding, Secret, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ensureTokenSecret } from '../brokertoken.ts';
import { type Written, written } from '../objects.ts';
import type { Deadline } from '../waiting.ts';
import { memberAccount } from './brokerview.ts';

const MEMBER_ROLE = 'submariner-k8s-broker-cluster';
const RBAC = 'rbac.authorization.k8s.io/v1';

interface Member {
  readonly namespace: string;
  readonly clusterId: string;
}

/** What a role binding gives a member: a role of its namespace. */
function bindingTo(role: string, name: string, { namespace, clusterId }: Member): RoleBinding {
  return {
    apiVersion: RBAC,
    kind: 'RoleBinding',
    metadata: { name, namespace, labels: { 'subctl.submariner.io/cluster': clusterId } },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
    subjects: [{ kind: 'ServiceAccount', name: memberAccount(clusterId), namespace }],
  };
}

function memberBinding(member: Member): RoleBinding {
  return bindingTo(MEMBER_ROLE, `${memberAccount(member.clusterId)}-${MEMBER_ROLE}`, member);
}

/** Lets a member take itself out of the set: delete its own account, which is the claim of its ID. */
function leaveRole({ namespace, clusterId }: Member): Role {
  const account = memberAccount(clusterId);
  return {
    apiVersion: RBAC,
    kind: 'Role',
    metadata: { name: `${account}-leave`, namespace, labels: { 'subctl.submariner.io/cluster': clusterId } },
    rules: [{ apiGroups: [''], resources: ['serviceaccounts'], resourceNames: [account], verbs: ['get', 'delete'] }],
  };
}

/** Names of what a member has on the broker beside its account and its token, by kind. */
export function memberObjects(member: Member): readonly (readonly [ResourceType, string])[] {
  const leave = leaveRole(member).metadata.name ?? '';
  return [
    [RESOURCES.roleBindings, memberBinding(member).metadata.name ?? ''],
    [RESOURCES.roleBindings, leave],
    [RESOURCES.roles, leave],
  ];
}

/** The role bindings and the role of a member on the broker, without their owner. */
export function memberManifests(member: Member): readonly KubeObject[] {
  const leave = leaveRole(member);
  const name = leave.metadata.name ?? '';
  return [memberBinding(member), leave, bindingTo(name, name, member)];
}

/** Credentials of the joining cluster at the broker: role bindings and token of its service account, which exists already. */
export async function ensureMember(
  client: KubeClient,
  member: Member,
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<{ readonly token: Secret; readonly records: readonly Written[] }> {
  const { namespace, clusterId } = member;
  const account = memberAccount(clusterId);
  const { metadata } = await client.get<ServiceAccount>(RESOURCES.serviceAccounts, account, { namespace });
  const owned = ownedBy({ apiVersion: 'v1', kind: 'ServiceAccount', name: account, uid: metadata.uid ?? '' });
  const records = [
    await createOnce(client, RESOURCES.roleBindings, owned(memberBinding(member))),
    ...(await allowToLeave(client, member, owned)),
  ];
  const { secret, outcome } = await ensureTokenSecret(client, { namespace, account }, deadline, onPending);
  return { token: secret, records: [...records, written({ ...secret, kind: 'Secret' }, 'broker', outcome)] };
}

type Own = <T extends KubeObject>(object: T) => T;

/** What belongs to the account goes with it. */
function ownedBy(reference: OwnerReference): Own {
  return (object) => ({ ...object, metadata: { ...object.metadata, ownerReferences: [reference] } });
}

/** A broker of another program may not grant it; then leaving takes the broker's own credentials. */
async function allowToLeave(client: KubeClient, member: Member, owned: Own): Promise<readonly Written[]> {
  const role = leaveRole(member);
  const name = role.metadata.name ?? '';
  try {
    return [
      await createOnce(client, RESOURCES.roles, owned(role)),
      await createOnce(client, RESOURCES.roleBindings, owned(bindingTo(name, name, member))),
    ];
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}

async function createOnce(client: KubeClient, type: ResourceType, object: KubeObject): Promise<Written> {
  try {
    await client.create(type, object, { fieldManager: 'subctl' });
    return written(object, 'broker', 'created');
  } catch (error) {
    if (isAlreadyExists(error)) return written(object, 'broker', 'unchanged');
    throw error;
  }
}
