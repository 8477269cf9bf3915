import { JOIN_CLUSTER_ANNOTATION, type JoinFile } from '../../api/joinfile.ts';
import { readToken } from '../../api/token.ts';
import type { KubeClient, ObjectMeta } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { PolicyRule, Role, RoleBinding, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { requestToken } from '../../kube/tokenrequest.ts';
import { memberAccount } from '../join/brokerview.ts';
import { memberRules } from '../join/member.ts';

/** On what there is on the broker for a join file. */
const LABEL = 'subctl.submariner.io/join-file';
const EXPIRES_ANNOTATION = 'subctl.submariner.io/expires';
const RBAC = 'rbac.authorization.k8s.io';
const GROUPS = ['submariner.io'];

/** A join file as the broker knows it; its name is that of the account. */
export interface JoinAccount {
  readonly name: string;
  readonly clusterId: string | undefined;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  readonly expiresMs: number;
}

/** What the holder of a join file may do: what join does, and with an ID nothing that is not of that ID. */
export function joinRules({ account, clusterId }: JoinFile, former: readonly string[]): readonly PolicyRule[] {
  const whose = clusterId === undefined ? {} : { resourceNames: [memberAccount(clusterId)] };
  return [
    ...(clusterId === undefined ? anyMemberRules() : memberRules(clusterId, former)),
    { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['create', 'list'] },
    { apiGroups: [''], resources: ['serviceaccounts'], ...whose, verbs: ['get', 'update', 'delete'] },
    { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: [account], verbs: ['delete'] },
    { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
    { apiGroups: [''], resources: ['configmaps'], resourceNames: ['submariner-globalnet-info'], verbs: ['get'] },
    { apiGroups: [RBAC], resources: ['roles', 'rolebindings'], verbs: ['create'] },
    { apiGroups: [RBAC], resources: ['roles', 'rolebindings'], ...whose, verbs: ['get', 'patch'] },
  ];
}

function anyMemberRules(): readonly PolicyRule[] {
  const verbs = ['create', 'list', 'watch', 'update', 'delete'];
  return [
    { apiGroups: GROUPS, resources: ['clusters', 'endpoints'], verbs },
    { apiGroups: GROUPS, resources: ['brokers'], verbs: ['get'] },
    { apiGroups: [''], resources: ['serviceaccounts/token'], verbs: ['create'] },
  ];
}

/** What is asked for. */
export interface JoinWish {
  readonly namespace: string;
  readonly file: JoinFile;
  readonly nowMs: number;
  readonly lifeMs: number;
  /** Names of the cluster's Endpoints that are on the broker already. */
  readonly former: readonly string[];
}

/** Makes the account of a join file and gives its token, which ends with the account. */
export async function createJoinAccount(client: KubeClient, wish: JoinWish): Promise<string> {
  const { namespace, file, nowMs, lifeMs } = wish;
  const { account: name, clusterId } = file;
  const annotations = {
    [EXPIRES_ANNOTATION]: new Date(nowMs + lifeMs).toISOString(),
    ...(clusterId === undefined ? {} : { [JOIN_CLUSTER_ANNOTATION]: clusterId }),
  };
  const options = { namespace, fieldManager: 'subctl' };
  const object: ServiceAccount = { metadata: { name, labels: { [LABEL]: 'true' }, annotations } };
  const made = await client.create(RESOURCES.serviceAccounts, object, options);
  const metadata = metadataOf(made, name);
  const role: Role = { metadata, rules: joinRules(file, wish.former) };
  const binding: RoleBinding = {
    metadata,
    roleRef: { apiGroup: RBAC, kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  };
  try {
    await client.create(RESOURCES.roles, role, options);
    await client.create(RESOURCES.roleBindings, binding, options);
    return await requestToken(client, { namespace, account: name, seconds: lifeMs / 1000 });
  } catch (error) {
    await removeJoinAccount(client, namespace, name).catch(() => false);
    throw error;
  }
}

function metadataOf({ metadata }: ServiceAccount, name: string): ObjectMeta {
  const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name, uid: metadata.uid ?? '' };
  return { name, labels: { [LABEL]: 'true' }, ownerReferences: [owner] };
}

/** The join files that the broker still knows, oldest first. */
export async function listJoinAccounts(client: KubeClient, namespace: string): Promise<readonly JoinAccount[]> {
  const { items } = await client.list<ServiceAccount>(RESOURCES.serviceAccounts, {
    namespace,
    labelSelector: `${LABEL}=true`,
  });
  const accounts = items.map(({ metadata }) => ({
    name: metadata.name ?? '',
    clusterId: metadata.annotations?.[JOIN_CLUSTER_ANNOTATION],
    createdMs: Date.parse(metadata.creationTimestamp ?? '') || 0,
    expiresMs: Date.parse(metadata.annotations?.[EXPIRES_ANNOTATION] ?? '') || 0,
  }));
  return accounts.toSorted((a, b) => a.createdMs - b.createdMs || (a.name < b.name ? -1 : 1));
}

/** Ends a join file at once; false when the broker does not know it. */
export async function removeJoinAccount(client: KubeClient, namespace: string, name: string): Promise<boolean> {
  const known = await client.delete(RESOURCES.serviceAccounts, name, { namespace });
  for (const type of [RESOURCES.roleBindings, RESOURCES.roles]) {
    try {
      await client.delete(type, name, { namespace });
    } catch (error) {
      // The broker's garbage collector does it then.
      if (!isForbidden(error)) throw error;
    }
  }
  return known;
}

/** When a token ends, or was asked to. */
export function endOf(token: string, otherwiseMs: number): number {
  return readToken(token).expiresAtMs ?? otherwiseMs;
}
