import type { ResourceType } from './client.ts';

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): ResourceType {
  return { group, version, plural, kind, namespaced };
}

const RBAC = 'rbac.authorization.k8s.io';
const ADMISSION = 'admissionregistration.k8s.io';

/** The kinds of resource we read and write. */
export const RESOURCES = {
  pods: resource('', 'v1', 'pods', 'Pod'),
  nodes: resource('', 'v1', 'nodes', 'Node', false),
  services: resource('', 'v1', 'services', 'Service'),
  endpointsCore: resource('', 'v1', 'endpoints', 'Endpoints'),
  secrets: resource('', 'v1', 'secrets', 'Secret'),
  configMaps: resource('', 'v1', 'configmaps', 'ConfigMap'),
  namespaces: resource('', 'v1', 'namespaces', 'Namespace', false),
  serviceAccounts: resource('', 'v1', 'serviceaccounts', 'ServiceAccount'),
  events: resource('', 'v1', 'events', 'Event'),
  daemonSets: resource('apps', 'v1', 'daemonsets', 'DaemonSet'),
  deployments: resource('apps', 'v1', 'deployments', 'Deployment'),
  replicaSets: resource('apps', 'v1', 'replicasets', 'ReplicaSet'),
  leases: resource('coordination.k8s.io', 'v1', 'leases', 'Lease'),
  endpointSlices: resource('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice'),
  /** Before Kubernetes 1.21. */
  olderEndpointSlices: resource('discovery.k8s.io', 'v1beta1', 'endpointslices', 'EndpointSlice'),
  roles: resource(RBAC, 'v1', 'roles', 'Role'),
  roleBindings: resource(RBAC, 'v1', 'rolebindings', 'RoleBinding'),
  clusterRoles: resource(RBAC, 'v1', 'clusterroles', 'ClusterRole', false),
  clusterRoleBindings: resource(RBAC, 'v1', 'clusterrolebindings', 'ClusterRoleBinding', false),
  admissionPolicies: resource(ADMISSION, 'v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', false),
  admissionPolicyBindings: resource(
    ADMISSION,
    'v1',
    'validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
    false,
  ),
  crds: resource('apiextensions.k8s.io', 'v1', 'customresourcedefinitions', 'CustomResourceDefinition', false),
  serviceCidrs: resource('networking.k8s.io', 'v1', 'servicecidrs', 'ServiceCIDR', false),
  networkPolicies: resource('networking.k8s.io', 'v1', 'networkpolicies', 'NetworkPolicy'),
  selfSubjectAccessReviews: resource(
    'authorization.k8s.io',
    'v1',
    'selfsubjectaccessreviews',
    'SelfSubjectAccessReview',
    false,
  ),
  clusters: resource('submariner.io', 'v1', 'clusters', 'Cluster'),
  endpoints: resource('submariner.io', 'v1', 'endpoints', 'Endpoint'),
  gateways: resource('submariner.io', 'v1', 'gateways', 'Gateway'),
  routeAgents: resource('submariner.io', 'v1', 'routeagents', 'RouteAgent'),
  clusterGlobalEgressIps: resource('submariner.io', 'v1', 'clusterglobalegressips', 'ClusterGlobalEgressIP', false),
  globalEgressIps: resource('submariner.io', 'v1', 'globalegressips', 'GlobalEgressIP'),
  globalIngressIps: resource('submariner.io', 'v1', 'globalingressips', 'GlobalIngressIP'),
  submariners: resource('submariner.io', 'v1alpha1', 'submariners', 'Submariner'),
  brokers: resource('submariner.io', 'v1alpha1', 'brokers', 'Broker'),
  serviceDiscoveries: resource('submariner.io', 'v1alpha1', 'servicediscoveries', 'ServiceDiscovery'),
  serviceExports: resource('multicluster.x-k8s.io', 'v1alpha1', 'serviceexports', 'ServiceExport'),
  serviceImports: resource('multicluster.x-k8s.io', 'v1alpha1', 'serviceimports', 'ServiceImport'),
} as const satisfies Readonly<Record<string, ResourceType>>;

/** `group/version`, or `version` for the core group, as objects carry it. */
export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** The resource of an object's apiVersion and kind; undefined when we do not know it. */
export function resourceOf(apiVersion: string, kind: string): ResourceType | undefined {
  return Object.values(RESOURCES).find((type) => type.kind === kind && apiVersionOf(type) === apiVersion);
}

/** Path of a collection, or of one object in it; without a namespace the collection of all namespaces. */
export function resourcePath(
  type: ResourceType,
  at: {
    readonly namespace?: string | undefined;
    readonly name?: string;
    readonly subresource?: string | undefined;
  } = {},
): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.namespaced && at.namespace !== undefined ? `/namespaces/${encodeURIComponent(at.namespace)}` : '';
  const name = at.name === undefined ? '' : `/${encodeURIComponent(at.name)}`;
  return `${root}${scope}/${type.plural}${name}${at.subresource === undefined ? '' : `/${at.subresource}`}`;
}
