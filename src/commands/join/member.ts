import { brokerEndpointNames } from '../../api/names.ts';
import { applyObjects } from '../../kube/apply.ts';
import type { KubeClient, KubeObject, OwnerReference, ResourceType } from '../../kube/client.ts';
import { isAlreadyExists, isForbidden } from '../../kube/errors.ts';
import type { PolicyRule, Role, RoleBinding, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { type Written, written } from '../objects.ts';
import { memberAccount } from './brokerview.ts';

/** The role of upstream, which lets its holder write the objects of all members. */
const SHARED_ROLE = 'submariner-k8s-broker-cluster';
const RBAC = 'rbac.authorization.k8s.io';
const GROUPS = ['submariner.io'];

/** A member of a broker. */
export interface Member {
  readonly namespace: string;
  readonly clusterId: string;
}

/**
 * What a member may do on the broker: announce itself, read the others, renew its credential, and take itself out of the
 * set by deleting its own account, which is the claim of its ID. Objects that are there already it may write under names
 * of its own only; `former` are such names of before.
 */
export function memberRules(clusterId: string, former: readonly string[] = []): readonly PolicyRule[] {
  const account = memberAccount(clusterId);
  const names = [...new Set([...brokerEndpointNames(clusterId), ...former])].toSorted();
  const write = ['update', 'delete'];
  return [
    { apiGroups: GROUPS, resources: ['clusters', 'endpoints'], verbs: ['create', 'list', 'watch'] },
    { apiGroups: GROUPS, resources: ['clusters'], resourceNames: [clusterId], verbs: write },
    { apiGroups: GROUPS, resources: ['endpoints'], resourceNames: names, verbs: write },
    { apiGroups: GROUPS, resources: ['brokers'], verbs: ['get'] },
    { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: [account], verbs: ['delete'] },
    { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: [account], verbs: ['create'] },
  ];
}

/** What a role binding gives a member: a role of its namespace. */
function bindingTo(role: string, name: string, { namespace, clusterId }: Member): RoleBinding {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'RoleBinding',
    metadata: { name, namespace, labels: { 'subctl.submariner.io/cluster': clusterId } },
    roleRef: { apiGroup: RBAC, kind: 'Role', name: role },
    subjects: [{ kind: 'ServiceAccount', name: memberAccount(clusterId), namespace }],
  };
}

function memberRole(member: Member, former: readonly string[]): Role {
  const { namespace, clusterId } = member;
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'Role',
    metadata: { name: memberAccount(clusterId), namespace, labels: { 'subctl.submariner.io/cluster': clusterId } },
    rules: memberRules(clusterId, former),
  };
}

type Named = readonly [ResourceType, string];

/** What members had before each got a role of its own. */
function formerObjects({ clusterId }: Member): readonly Named[] {
  const account = memberAccount(clusterId);
  return [
    [RESOURCES.roleBindings, `${account}-${SHARED_ROLE}`],
    [RESOURCES.roleBindings, `${account}-leave`],
    [RESOURCES.roles, `${account}-leave`],
  ];
}

/** The role of a member on the broker and its binding, without their owner. */
export function memberManifests(member: Member, former: readonly string[] = []): readonly KubeObject[] {
  const name = memberAccount(member.clusterId);
  return [memberRole(member, former), bindingTo(name, name, member)];
}

/** Names of what a member has on the broker beside its account and its credentials, by kind. */
export function memberObjects(member: Member): readonly Named[] {
  const account = memberAccount(member.clusterId);
  return [...formerObjects(member), [RESOURCES.roleBindings, account], [RESOURCES.roles, account]];
}

/** The rights of a joined cluster. */
export interface MemberRights {
  readonly records: readonly Written[];
  /** The broker grants no role of its own; then the member may also write the objects of others. */
  readonly shared: boolean;
}

/** Gives the service account of the joining cluster, which exists already, its rights at the broker. */
export async function ensureMember(
  client: KubeClient,
  member: Member,
  { metadata }: ServiceAccount,
  former: readonly string[],
): Promise<MemberRights> {
  const { name = '', uid = '' } = metadata;
  const owned = ownedBy({ apiVersion: 'v1', kind: 'ServiceAccount', name, uid });
  const manifests = memberManifests(member, former).map(owned);
  try {
    const applied = await applyObjects(client, manifests, { fieldManager: 'subctl', force: true });
    const records = applied.map(({ object, outcome }) => written(object, 'broker', outcome));
    return { records: [...records, ...(await removeFormer(client, member))], shared: false };
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const shared = owned(bindingTo(SHARED_ROLE, `${name}-${SHARED_ROLE}`, member));
    return { records: [await createOnce(client, RESOURCES.roleBindings, shared)], shared: true };
  }
}

async function removeFormer(client: KubeClient, member: Member): Promise<readonly Written[]> {
  const { namespace } = member;
  const records: Written[] = [];
  for (const [type, name] of formerObjects(member)) {
    try {
      if (await client.delete(type, name, { namespace }))
        records.push(written({ kind: type.kind, metadata: { name, namespace } }, 'broker', 'deleted'));
    } catch (error) {
      if (!isForbidden(error)) throw error;
    }
  }
  return records;
}

type Own = <T extends KubeObject>(object: T) => T;

/** What belongs to the account goes with it. */
function ownedBy(reference: OwnerReference): Own {
  return (object) => ({ ...object, metadata: { ...object.metadata, ownerReferences: [reference] } });
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
