import { type Obj, type Resource, obj, objs, text, texts } from './json.ts';
import { type User } from './request.ts';
import { type Store } from './store.ts';

/** A question to the authorizer; `path` is set for non-resource requests only. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly plural: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly path?: string;
}

/** The answer: who allowed it, or the lookup errors that may be the reason why nobody did. */
export interface Decision {
  readonly allowed: boolean;
  readonly reason: string;
}

const RBAC = 'rbac.authorization.k8s.io';

const covers = (granted: readonly string[], wanted: string): boolean =>
  granted.includes('*') || granted.includes(wanted);

const coversPath = (granted: readonly string[], wanted: string): boolean =>
  granted.some((url) => url === wanted || (url.endsWith('*') && wanted.startsWith(url.slice(0, -1))));

function coversResource(granted: readonly string[], plural: string, subresource: string): boolean {
  if (covers(granted, subresource === '' ? plural : `${plural}/${subresource}`)) return true;
  return subresource !== '' && granted.includes(`*/${subresource}`);
}

/** Whether one rule allows what is asked. */
export function ruleAllows(rule: Obj, asked: Attributes): boolean {
  if (!covers(texts(rule['verbs']), asked.verb)) return false;
  if (asked.path !== undefined) return coversPath(texts(rule['nonResourceURLs']), asked.path);
  const names = texts(rule['resourceNames']);
  return (
    covers(texts(rule['apiGroups']), asked.group) &&
    coversResource(texts(rule['resources']), asked.plural, asked.subresource) &&
    (names.length === 0 || names.includes(asked.name))
  );
}

function isSubject(subject: Obj, user: User, namespace: string): boolean {
  const name = text(subject['name']);
  if (subject['kind'] === 'User') return name === user.name;
  if (subject['kind'] === 'Group') return user.groups.includes(name);
  const where = text(subject['namespace']) === '' ? namespace : text(subject['namespace']);
  return where !== '' && user.name === `system:serviceaccount:${where}:${name}`;
}

const describeSubject = (subject: Obj, user: User): string =>
  subject['kind'] === 'Group'
    ? `Group ${JSON.stringify(text(subject['name']))}`
    : `${text(subject['kind'])} ${JSON.stringify(user.name)}`;

interface Grant {
  readonly rules: Obj[];
  readonly reason: string;
}

/** The rules of the role a binding refers to, or the text of the lookup error. */
function rulesOf(store: Store, roleRef: Obj, namespace: string): Obj[] | string {
  const cluster = roleRef['kind'] === 'ClusterRole';
  const name = text(roleRef['name']);
  const role = cluster
    ? store.get(`${RBAC}/clusterroles`, undefined, name)
    : store.get(`${RBAC}/roles`, namespace, name);
  return role === undefined ? `${cluster ? 'clusterrole' : 'role'}.${RBAC} "${name}" not found` : objs(role['rules']);
}

/** Everything bound to a user that counts in a namespace ('' is the cluster scope), and lookup errors. */
export function grantsOf(store: Store, user: User, namespace: string): { grants: Grant[]; errors: string[] } {
  const grants: Grant[] = [];
  const errors: string[] = [];
  const visit = (binding: Resource, kind: string): void => {
    const subject = objs(binding['subjects']).find((each) => isSubject(each, user, binding.metadata.namespace ?? ''));
    if (subject === undefined) return;
    const roleRef = obj(binding['roleRef']);
    const rules = rulesOf(store, roleRef, namespace);
    const named = `${binding.metadata.name}${kind === 'RoleBinding' ? `/${namespace}` : ''}`;
    const reason = `RBAC: allowed by ${kind} "${named}" of ${text(roleRef['kind'])} "${text(roleRef['name'])}" to ${describeSubject(subject, user)}`;
    if (typeof rules === 'string') errors.push(rules);
    else grants.push({ rules, reason });
  };
  for (const binding of store.list(`${RBAC}/clusterrolebindings`)) visit(binding, 'ClusterRoleBinding');
  if (namespace !== '')
    for (const binding of store.list(`${RBAC}/rolebindings`, namespace)) visit(binding, 'RoleBinding');
  return { grants, errors };
}

/** Decides by RBAC; the group system:masters may do everything. */
export function authorize(store: Store, user: User, asked: Attributes): Decision {
  if (user.groups.includes('system:masters')) return { allowed: true, reason: '' };
  const { grants, errors } = grantsOf(store, user, asked.namespace);
  const found = grants.find(({ rules }) => rules.some((rule) => ruleAllows(rule, asked)));
  if (found !== undefined) return { allowed: true, reason: found.reason };
  return {
    allowed: false,
    reason: errors.length === 0 ? '' : `RBAC: ${errors.length > 1 ? `[${errors.join(', ')}]` : errors[0]}`,
  };
}

/** The words of a denied request. */
export function denial(user: User, asked: Attributes, reason: string): string {
  const tail = reason === '' ? '' : `: ${reason}`;
  const who = `User ${JSON.stringify(user.name)} cannot`;
  if (asked.path !== undefined) return `${who} ${asked.verb} path ${JSON.stringify(asked.path)}${tail}`;
  const resource = asked.subresource === '' ? asked.plural : `${asked.plural}/${asked.subresource}`;
  const scope = asked.namespace === '' ? 'at the cluster scope' : `in the namespace "${asked.namespace}"`;
  return `${who} ${asked.verb} resource "${resource}" in API group "${asked.group}" ${scope}${tail}`;
}

/** Rules split into atoms: one verb, one group and resource (or URL), one name each. */
function atoms(rule: Obj): Obj[] {
  const each = (key: string, none: readonly (string | undefined)[] = []): readonly (string | undefined)[] =>
    texts(rule[key]).length > 0 ? texts(rule[key]) : none;
  const found: Obj[] = [];
  for (const verb of each('verbs')) {
    for (const url of each('nonResourceURLs')) found.push({ verbs: [verb], nonResourceURLs: [url] });
    for (const group of each('apiGroups'))
      for (const resource of each('resources'))
        for (const name of each('resourceNames', [undefined]))
          found.push({
            verbs: [verb],
            apiGroups: [group],
            resources: [resource],
            ...(name === undefined ? {} : { resourceNames: [name] }),
          });
  }
  return found;
}

function holds(held: readonly Obj[], atom: Obj): boolean {
  const [[verb = ''], [group = ''], [resource = ''], [name], [path]] = [
    'verbs',
    'apiGroups',
    'resources',
    'resourceNames',
    'nonResourceURLs',
  ].map((key) => texts(atom[key])) as [string[], string[], string[], string[], string[]];
  const [plural = '', subresource = ''] = resource.split('/');
  const asked = { verb, group, plural, subresource, namespace: '', name: name ?? '' };
  return held.some((rule) => ruleAllows(rule, path === undefined ? asked : { ...asked, path }));
}

const printRule = (rule: Obj): string => {
  const part = (label: string, key: string): string[] =>
    texts(rule[key]).length === 0
      ? []
      : [
          `${label}:[${texts(rule[key])
            .map((each) => JSON.stringify(each))
            .join(' ')}]`,
        ];
  return `{${[...part('APIGroups', 'apiGroups'), ...part('Resources', 'resources'), ...part('ResourceNames', 'resourceNames'), ...part('NonResourceURLs', 'nonResourceURLs'), ...part('Verbs', 'verbs')].join(', ')}}`;
};

/** Why a user may not give these rules away, undefined when the user holds them all. */
export function escalation(store: Store, user: User, namespace: string, rules: readonly Obj[]): string | undefined {
  if (user.groups.includes('system:masters')) return undefined;
  const held = grantsOf(store, user, namespace).grants.flatMap((grant) => grant.rules);
  const missing = new Map<string, Obj>();
  for (const atom of rules.flatMap(atoms)) {
    if (holds(held, atom)) continue;
    const key = JSON.stringify({ ...atom, verbs: [] });
    missing.set(key, { ...atom, verbs: [...texts(missing.get(key)?.['verbs']), ...texts(atom['verbs'])] });
  }
  if (missing.size === 0) return undefined;
  const groups = user.groups.map((group) => JSON.stringify(group)).join(' ');
  const lines = [...missing.values()].map(printRule).sort();
  return `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${lines.join('\n')}`;
}

/** The rules behind a roleRef, [] when the role does not exist. */
export function referredRules(store: Store, roleRef: Obj, namespace: string): Obj[] {
  const rules = rulesOf(store, roleRef, namespace);
  return typeof rules === 'string' ? [] : rules;
}

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const CORE = ['configmaps', 'endpoints', 'pods', 'services', 'serviceaccounts'];
const WORKLOADS = ['daemonsets', 'deployments', 'deployments/scale', 'replicasets', 'replicasets/scale'];
const SLICES = ['endpointslices'];

const rule = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): Obj => ({
  verbs,
  apiGroups: [apiGroup],
  resources,
});

const viewRules = (verbs: readonly string[]): Obj[] => [
  rule('', CORE, verbs),
  rule('', ['events', 'namespaces', 'pods/log', 'pods/status'], READ),
  rule('apps', WORKLOADS, verbs),
  rule('discovery.k8s.io', SLICES, verbs),
];
const editRules: Obj[] = [
  ...viewRules([...READ, ...WRITE]),
  rule('', ['secrets'], [...READ, ...WRITE]),
  rule(
    '',
    ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/eviction', 'serviceaccounts/token'],
    ['create', 'get'],
  ),
  rule('coordination.k8s.io', ['leases'], [...READ, ...WRITE]),
];
const PUBLIC = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
const DISCOVERY = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', ...PUBLIC];

/** The ClusterRoles every server starts with, by name. */
export const BOOTSTRAP_ROLES: Readonly<Record<string, readonly Obj[]>> = {
  'cluster-admin': [rule('*', ['*'], ['*']), { verbs: ['*'], nonResourceURLs: ['*'] }],
  admin: [
    ...editRules,
    rule(RBAC, ['roles', 'rolebindings'], [...READ, ...WRITE]),
    rule('authorization.k8s.io', ['localsubjectaccessreviews'], ['create']),
  ],
  edit: editRules,
  view: viewRules(READ),
  'system:discovery': [{ verbs: ['get'], nonResourceURLs: DISCOVERY }],
  'system:public-info-viewer': [{ verbs: ['get'], nonResourceURLs: PUBLIC }],
  'system:basic-user': [
    rule('authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'], ['create']),
    rule('authentication.k8s.io', ['selfsubjectreviews'], ['create']),
  ],
};

/** The groups those ClusterRoles are bound to from the start. */
export const BOOTSTRAP_BINDINGS: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['system:masters'],
  'system:discovery': ['system:authenticated'],
  'system:basic-user': ['system:authenticated'],
  'system:public-info-viewer': ['system:authenticated', 'system:unauthenticated'],
};
