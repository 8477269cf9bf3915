import { BROKER_NAME } from '../../api/names.ts';
import type { Broker, BrokerSpec } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { renderTemplates } from '../../kube/templates.ts';
import { UsageError } from '../../runtime/errors.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';
import type { Right } from '../rights.ts';
import { globalnetClusterSize, requireRange } from './globalnet.ts';
import type { DeployBrokerOptions } from './options.ts';

const COMPONENTS = ['connectivity', 'service-discovery'] as const;
/** Service discovery is not part of this version, so a broker does not announce it unless told to. */
const DEFAULT_COMPONENTS: readonly string[] = ['connectivity'];

/** The components of the broker, sorted; throws UsageError for an unknown one. */
export function brokerComponents(options: DeployBrokerOptions): readonly string[] {
  const chosen = options.components ?? DEFAULT_COMPONENTS;
  const unknown = chosen.filter((name) => !COMPONENTS.some((known) => known === name));
  if (unknown.length > 0 || chosen.length === 0) {
    throw new UsageError(`--components: ${unknown.join(', ') || 'none given'}; choose from ${COMPONENTS.join(', ')}`);
  }
  return [...new Set([...chosen, ...(options.globalnet ? ['globalnet'] : [])])].toSorted();
}

/** The Broker object the flags describe, with the fingerprint of the key; throws UsageError when they make no sense. */
function brokerObject(options: DeployBrokerOptions, psk: Buffer | undefined): Broker {
  const range = requireRange('--globalnet-cidr-range', options.globalnetCidrRange);
  const spec: BrokerSpec = {
    components: brokerComponents(options),
    globalnetEnabled: options.globalnet,
    globalnetCIDRRange: range,
    defaultGlobalnetClusterSize: globalnetClusterSize(options.globalnetClusterSize, range),
    clustersetIPEnabled: options.enableClustersetIp,
    clustersetIPCIDRRange: requireRange('--clusterset-ip-cidr-range', options.clustersetIpCidrRange),
    ...(options.customDomains === undefined ? {} : { defaultCustomDomains: options.customDomains }),
  };
  const metadata = {
    name: BROKER_NAME,
    namespace: options.namespace,
    ...(psk === undefined ? {} : { annotations: { [PSK_FINGERPRINT_ANNOTATION]: pskFingerprint(psk) } }),
  };
  return { apiVersion: 'submariner.io/v1alpha1', kind: 'Broker', metadata, spec };
}

/** What decides which manifests a broker gets. */
export interface BrokerParts {
  /** Whether the API server has admission policies. */
  readonly policies: boolean;
  /** Its fingerprint is recorded. */
  readonly psk?: Buffer;
}

/** Everything applied on the broker's cluster, in the order of application. */
export function brokerManifests(
  templatesDir: string,
  options: DeployBrokerOptions,
  { policies, psk }: BrokerParts,
): readonly KubeObject[] {
  return [
    ...renderTemplates(`${templatesDir}/crds`, { brokerNamespace: options.namespace }),
    ...accessManifests(templatesDir, options.namespace, policies),
    brokerObject(options, psk),
  ];
}

/** What lets members, and only them, onto a broker; `policies` as in BrokerParts. */
export function accessManifests(templatesDir: string, namespace: string, policies: boolean): readonly KubeObject[] {
  const folders = ['broker', ...(policies ? ['admission'] : [])];
  return folders.flatMap((folder) => renderTemplates(`${templatesDir}/${folder}`, { brokerNamespace: namespace }));
}

/** What the operator has to be allowed to do. */
export function brokerRights(namespace: string, policies: boolean): readonly Right[] {
  const write = ['create', 'patch'];
  return [
    { verbs: write, type: RESOURCES.namespaces },
    { verbs: write, type: RESOURCES.crds },
    { verbs: write, type: RESOURCES.serviceAccounts, namespace },
    { verbs: write, type: RESOURCES.roles, namespace },
    { verbs: write, type: RESOURCES.roleBindings, namespace },
    { verbs: ['create', 'get', 'list'], type: RESOURCES.secrets, namespace },
    { verbs: [...write, 'get'], type: RESOURCES.configMaps, namespace },
    { verbs: [...write, 'get'], type: RESOURCES.brokers, namespace },
    { verbs: ['list'], type: RESOURCES.clusters, namespace },
    ...(policies
      ? [
          { verbs: write, type: RESOURCES.admissionPolicies },
          { verbs: write, type: RESOURCES.admissionPolicyBindings },
        ]
      : []),
  ];
}
