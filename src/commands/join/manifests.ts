import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { renderTemplates } from '../../kube/templates.ts';
import type { Right } from '../rights.ts';
import { memberAccount } from './brokerview.ts';
import { cableDriverName, encodeCa, interfaceName, type JoinSettings, publicIpResolver } from './configuration.ts';
import { chooseImages } from './images.ts';
import type { JoinOptions } from './options.ts';
import { parseConfigMapReference } from './record.ts';
import { type ManifestValues, type RecordedValues, templateVariables, type TunnelValues } from './values.ts';

/** What is applied in a joining cluster, beside the Secrets. */
const MANIFEST_FOLDERS = ['crds', 'engine', 'routeagent', 'submariner'];

/** The values of a join's manifests; Secrets are left empty. */
export function manifestValues(settings: JoinSettings): ManifestValues {
  const { clusterId, networks, broker, options, version } = settings;
  const images = chooseImages(options, version);
  return {
    clusterId,
    clusterCidr: networks.podCidrs.join(','),
    serviceCidr: networks.serviceCidrs.join(','),
    networkPlugin: networks.plugin,
    clusterCidrSource: networks.podSource,
    serviceCidrSource: networks.serviceSource,
    ...tunnelValues(options),
    healthCheckEnabled: options.healthCheck,
    healthCheckInterval: options.healthCheckInterval,
    healthCheckMaxPacketLossCount: options.healthCheckMaxPacketLossCount,
    leaseDuration: options.gatewayLeaseDuration,
    renewDeadline: options.gatewayRenewDeadline,
    retryPeriod: options.gatewayRetryPeriod,
    gatewayProbeInterval: options.gatewayProbeInterval,
    brokerServer: broker.server.replace(/^https?:\/\//, ''),
    brokerNamespace: broker.namespace,
    brokerCa: broker.ca === undefined ? '' : encodeCa(broker.ca),
    brokerInsecure: !options.checkBrokerCertificate,
    brokerUrl: options.brokerUrl ?? '',
    httpProxy: options.httpProxy ?? '',
    httpsProxy: options.httpsProxy ?? '',
    noProxy: typeof options.proxy === 'string' ? options.proxy : '',
    debug: options.podDebug,
    repository: images.repository,
    version: images.version,
    gatewayImage: images.gateway,
    routeAgentImage: images.routeAgent,
    imagePullPolicy: images.pullPolicy,
    imageOverrides: images.overrides,
    ...NO_SECRETS,
    ...recordedValues(options),
  };
}

const NO_SECRETS = { ipsecPsk: '', brokerToken: '', brokerTokenNamespace: '', brokerTokenCa: '' };

function tunnelValues(options: JoinOptions): TunnelValues {
  return {
    cableDriver: cableDriverName(options.cableDriver),
    cableDriverChange: options.cableDriverChange,
    natEnabled: options.natt,
    nattPort: options.nattport,
    publicIp: publicIpResolver(options.publicIp),
    interface: interfaceName(options.interface),
    airGapped: options.airGapped,
    preferredServer: options.preferredServer,
    forceUdpEncaps: options.forceUdpEncaps,
    ipsecDebug: options.ipsecDebug,
  };
}

/** Settings of parts that are not deployed: recorded, without effect. */
function recordedValues(options: JoinOptions): RecordedValues {
  const { corednsCustomConfigmap: coredns } = options;
  return {
    globalnet: options.globalnet,
    globalnetClusterSize: String(options.globalnetClusterSize ?? ''),
    globalCidr: options.globalnetCidr ?? '',
    loadBalancer: options.loadBalancer,
    enableClustersetIp: options.enableClustersetIp,
    clustersetIpCidr: options.clustersetIpCidr ?? '',
    customDomains: options.customDomains ?? [],
    corednsCustomConfig: coredns === undefined ? {} : { ...parseConfigMapReference(coredns) },
  };
}

/** Everything applied in the joining cluster except the Secrets, which are not for anybody's eyes. */
export function joinManifests(templatesDir: string, settings: JoinSettings): readonly KubeObject[] {
  const variables = templateVariables(manifestValues(settings));
  return MANIFEST_FOLDERS.flatMap((folder) => renderTemplates(`${templatesDir}/${folder}`, variables));
}

/** The Submariner object that records the configuration of the cluster. */
export function submarinerObject(templatesDir: string, settings: JoinSettings): Submariner {
  const variables = templateVariables(manifestValues(settings));
  const [object] = renderTemplates(`${templatesDir}/submariner`, variables);
  return object as KubeObject & Submariner;
}

/** The Secrets the daemons use: the cluster's credential at the broker and the pre-shared key. */
export function joinSecrets(broker: JoinSettings['broker'], token: string, psk: Buffer): readonly Secret[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const secret = (name: string, content: Readonly<Record<string, string>>): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: OPERATOR_NAMESPACE },
    type: 'Opaque',
    data: content,
  });
  const { namespace, ca = '' } = broker;
  return [
    secret(BROKER_SECRET, { token: base64(token), namespace: base64(namespace), 'ca.crt': base64(ca) }),
    secret(PSK_SECRET, { psk: psk.toString('base64') }),
  ];
}

const WRITE = ['create', 'patch'];

/** What the operator has to be allowed to do in the joining cluster; more when running daemons may be replaced. */
export function joinRights(mayReplace: boolean): readonly Right[] {
  const namespace = OPERATOR_NAMESPACE;
  return [
    { verbs: [...WRITE, 'get'], type: RESOURCES.namespaces },
    { verbs: WRITE, type: RESOURCES.crds },
    { verbs: WRITE, type: RESOURCES.clusterRoles },
    { verbs: WRITE, type: RESOURCES.clusterRoleBindings },
    { verbs: ['list', 'patch'], type: RESOURCES.nodes },
    { verbs: WRITE, type: RESOURCES.serviceAccounts, namespace },
    { verbs: WRITE, type: RESOURCES.roles, namespace },
    { verbs: WRITE, type: RESOURCES.roleBindings, namespace },
    // Events of nodes.
    { verbs: WRITE, type: RESOURCES.roles, namespace: 'default' },
    { verbs: WRITE, type: RESOURCES.roleBindings, namespace: 'default' },
    { verbs: [...WRITE, 'get'], type: RESOURCES.secrets, namespace },
    { verbs: [...WRITE, 'get', 'list'], type: RESOURCES.daemonSets, namespace },
    { verbs: ['list'], type: RESOURCES.pods, namespace },
    { verbs: [...WRITE, 'get'], type: RESOURCES.submariners, namespace },
    { verbs: ['list'], type: RESOURCES.gateways, namespace },
    { verbs: ['list'], type: RESOURCES.routeAgents, namespace },
    ...(mayReplace
      ? [
          { verbs: ['create', 'delete'], type: RESOURCES.pods, namespace },
          { verbs: ['get', 'create', 'update', 'patch', 'delete'], type: RESOURCES.leases, namespace },
        ]
      : []),
  ];
}

/** What the token of broker-info.subm has to be allowed to do; upstream's broker role grants it too. `only`: for this ID. */
export function brokerMemberRights(namespace: string, only: string | undefined): readonly Right[] {
  const read: readonly Right[] = [
    { verbs: ['list'], type: RESOURCES.clusters, namespace },
    { verbs: ['list'], type: RESOURCES.endpoints, namespace },
    { verbs: ['get'], type: RESOURCES.brokers, namespace },
  ];
  const claim = { type: RESOURCES.serviceAccounts, namespace };
  if (only !== undefined) {
    return [
      ...read,
      { verbs: ['create', 'list'], ...claim },
      { verbs: ['get', 'update', 'delete'], ...claim, name: memberAccount(only) },
      { verbs: ['create'], type: RESOURCES.secrets, namespace },
      { verbs: ['create'], type: RESOURCES.roleBindings, namespace },
    ];
  }
  return [
    ...read,
    { verbs: ['get'], type: RESOURCES.configMaps, namespace },
    { verbs: ['create', 'get', 'list', 'update', 'delete'], ...claim },
    { verbs: ['create', 'get'], type: RESOURCES.roleBindings, namespace },
    { verbs: ['create', 'get', 'list'], type: RESOURCES.secrets, namespace },
  ];
}
