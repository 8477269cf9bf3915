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
  readonly path?: string | undefined;
}

const RBAC = 'rbac.authorization.k8s.io';

const covers = (granted: unknown, wanted: string): boolean =>
  texts(granted).some((each) => each === '*' || each === wanted);

/** Whether one rule allows what is asked. */
function ruleAllows(rule: Obj, { verb, group, plural, subresource, name, path }: Attributes): boolean {
  const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule;
  if (!covers(verbs, verb)) return false;
  if (path !== undefined)
    return texts(nonResourceURLs).some(
      (url) => url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))),
    );
  const named = texts(resourceNames).length === 0 || texts(resourceNames).includes(name);
  const resource = subresource === '' ? plural : `${plural}/${subresource}`;
  return (
    named && covers(apiGroups, group) && (covers(resources, resource) || texts(resources).includes(`*/${subresource}`))
  );
}

function isSubject({ kind, name, namespace }: Obj, user: User, home = ''): boolean {
  if (kind === 'User') return name === user.name;
  if (kind === 'Group') return user.groups.includes(text(name));
  return user.name === `system:serviceaccount:${text(namespace) || home || ' '}:${text(name)}`;
}

/** The rules of the role a binding refers to, or the text of the lookup error. */
function lookUp(store: Store, roleRef: Obj, namespace: string): Obj[] | string {
  const kind = text(roleRef.kind).toLowerCase();
  const role = store.get(`${RBAC}/${kind}s`, kind === 'role' ? namespace : undefined, text(roleRef.name));
  return role === undefined ? `${kind}.${RBAC} "${text(roleRef.name)}" not found` : objs(role.rules);
}

/** Everything bound to a user that counts in a namespace ('' is the cluster scope), and lookup errors. */
export function grantsOf(store: Store, user: User, namespace: string): { rules: Obj[]; errors: string[] } {
  const local = namespace === '' ? [] : store.list(`${RBAC}/rolebindings`, namespace);
  const mine = ({ metadata, subjects }: Resource): boolean =>
    objs(subjects).some((each) => isSubject(each, user, metadata.namespace));
  const bindings = [...store.list(`${RBAC}/clusterrolebindings`), ...local].filter(mine);
  const found = bindings.map(({ roleRef }) => lookUp(store, obj(roleRef), namespace));
  return {
    rules: found.flatMap((each) => (typeof each === 'string' ? [] : each)),
    errors: found.filter((each) => typeof each === 'string'),
  };
}

/** Decides by RBAC; the group system:masters may do everything. `reason` holds lookup errors, or that RBAC allowed it. */
export function authorize(store: Store, user: User, asked: Attributes): { allowed: boolean; reason: string } {
  if (user.groups.includes('system:masters')) return { allowed: true, reason: '' };
  const { rules, errors } = grantsOf(store, user, asked.namespace);
  if (rules.some((rule) => ruleAllows(rule, asked)))
    return { allowed: true, reason: 'RBAC: allowed by a role binding' };
  return {
    allowed: false,
    reason: errors.length === 0 ? '' : `RBAC: ${errors.length > 1 ? `[${errors.join(', ')}]` : errors[0]}`,
  };
}

/** The words of a denied request. */
export function denial(
  user: User,
  { verb, group, plural, subresource, namespace, path }: Attributes,
  reason: string,
): string {
  const tail = reason === '' ? '' : `: ${reason}`;
  if (path !== undefined) return `User "${user.name}" cannot ${verb} path "${path}"${tail}`;
  const resource = subresource === '' ? plural : `${plural}/${subresource}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return `User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${scope}${tail}`;
}

/** Whether a user holds every right the rules give. */
export function holdsAll(store: Store, user: User, namespace: string, rules: readonly Obj[]): boolean {
  if (user.groups.includes('system:masters')) return true;
  const held = grantsOf(store, user, namespace).rules;
  const holds = (asked: Attributes): boolean => held.some((rule) => ruleAllows(rule, asked));
  const any = (values: unknown): string[] => (texts(values).length === 0 ? [''] : texts(values));
  return rules.every(({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }) =>
    texts(verbs).every((verb) => {
      const base = { verb, group: '', plural: '', subresource: '', namespace, name: '' };
      if (texts(nonResourceURLs).length > 0) return texts(nonResourceURLs).every((path) => holds({ ...base, path }));
      return any(apiGroups).every((group) =>
        any(resources).every((resource) => {
          const [plural = '', subresource = ''] = resource.split('/');
          return any(resourceNames).every((name) => holds({ ...base, group, plural, subresource, name }));
        }),
      );
    }),
  );
}

/** The rules behind a roleRef, [] when the role does not exist. */
export function referredRules(store: Store, roleRef: Obj, namespace: string): Obj[] {
  const rules = lookUp(store, roleRef, namespace);
  return typeof rules === 'string' ? [] : rules;
}

const READ = ['get', 'list', 'watch'];
const ALL = [...READ, 'create', 'delete', 'deletecollection', 'patch', 'update'];
const PUBLIC = ['/healthz', '/livez', '/readyz', '/version'];
const rule = (group: string, resources: string, verbs: readonly string[]): Obj => ({
  verbs,
  apiGroups: [group],
  resources: resources.split(' '),
});

const VIEWED = 'configmaps endpoints events pods pods/log pods/status services serviceaccounts';
const userRules = (verbs: readonly string[]): Obj[] => [
  rule('', VIEWED, verbs),
  rule('apps', '*', verbs),
  rule('discovery.k8s.io', '*', verbs),
];
const editRules = [
  ...userRules(ALL),
  rule('', 'secrets pods/exec pods/portforward serviceaccounts/token', ALL),
  rule('coordination.k8s.io', '*', ALL),
];

/** The ClusterRoles every server starts with, by name. */
export const BOOTSTRAP_ROLES: Readonly<Record<string, readonly Obj[]>> = {
  'cluster-admin': [rule('*', '*', ['*']), { verbs: ['*'], nonResourceURLs: ['*'] }],
  admin: [...editRules, rule(RBAC, 'roles rolebindings', ALL)],
  edit: editRules,
  view: userRules(READ),
  'system:discovery': [
    { verbs: ['get'], nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/openapi/*', ...PUBLIC] },
  ],
  'system:public-info-viewer': [{ verbs: ['get'], nonResourceURLs: PUBLIC }],
  'system:basic-user': [
    rule('authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews', ['create']),
    rule('authentication.k8s.io', 'selfsubjectreviews', ['create']),
  ],
};

/** The groups those ClusterRoles are bound to from the start. */
export const BOOTSTRAP_BINDINGS: Readonly<Record<string, readonly string[]>> = {
  'cluster-admin': ['system:masters'],
  'system:discovery': ['system:authenticated'],
  'system:basic-user': ['system:authenticated'],
  'system:public-info-viewer': ['system:authenticated', 'system:unauthenticated'],
};
