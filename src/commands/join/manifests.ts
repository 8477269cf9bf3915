import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { renderTemplates } from '../../kube/templates.ts';
import { pskFingerprint } from '../pskfingerprint.ts';
import type { Right } from '../rights.ts';
import {
  cableDriverName,
  interfaceName,
  type JoinSettings,
  publicIpResolver,
  submarinerObject,
} from './configuration.ts';
import { chooseImages } from './images.ts';

/** The values that templates/engine and templates/routeagent are filled with. */
type ManifestValues = Readonly<Record<string, string | number | boolean>>;

/** The values the templates need. */
function manifestValues({ clusterId, networks, broker, options, version }: JoinSettings, psk: Buffer): ManifestValues {
  const images = chooseImages(options, version);
  return {
    clusterId,
    clusterCidr: networks.podCidrs.join(','),
    serviceCidr: networks.serviceCidrs.join(','),
    networkPlugin: networks.plugin,
    cableDriver: cableDriverName(options.cableDriver),
    natEnabled: options.natt,
    nattPort: options.nattport,
    publicIp: publicIpResolver(options.publicIp),
    interface: interfaceName(options.interface),
    airGapped: options.airGapped,
    preferredServer: options.preferredServer,
    forceUdpEncaps: options.forceUdpEncaps,
    ipsecDebug: options.ipsecDebug,
    debug: options.podDebug,
    healthCheckEnabled: options.healthCheck,
    healthCheckInterval: options.healthCheckInterval,
    healthCheckMaxPacketLossCount: options.healthCheckMaxPacketLossCount,
    leaseDuration: options.gatewayLeaseDuration,
    renewDeadline: options.gatewayRenewDeadline,
    retryPeriod: options.gatewayRetryPeriod,
    gatewayProbeInterval: options.gatewayProbeInterval,
    brokerServer: broker.server.replace(/^https?:\/\//, ''),
    brokerNamespace: broker.namespace,
    brokerInsecure: !options.checkBrokerCertificate,
    httpProxy: options.httpProxy ?? '',
    httpsProxy: options.httpsProxy ?? '',
    noProxy: typeof options.proxy === 'string' ? options.proxy : '',
    gatewayImage: images.gateway,
    routeAgentImage: images.routeAgent,
    imagePullPolicy: images.pullPolicy,
    pskFingerprint: pskFingerprint(psk),
  };
}

/** Everything applied in the joining cluster except the Secrets, which are not for anybody's eyes; of the key only its fingerprint. */
export function joinManifests(templatesDir: string, settings: JoinSettings, psk: Buffer): readonly KubeObject[] {
  const values = manifestValues(settings, psk);
  const [definitions, engine, routeAgent] = ['crds', 'engine', 'routeagent'].map((folder) =>
    renderTemplates(`${templatesDir}/${folder}`, values),
  );
  return [...(definitions ?? []), ...(engine ?? []), ...(routeAgent ?? []), submarinerObject(settings)];
}

/** The Secrets the daemons mount: the member's credentials at the broker and the pre-shared key. */
export function joinSecrets(memberToken: Secret, psk: Buffer): readonly Secret[] {
  const { data = {} } = memberToken;
  const secret = (name: string, content: Readonly<Record<string, string>>): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: OPERATOR_NAMESPACE },
    type: 'Opaque',
    data: content,
  });
  const { token = '', namespace = '' } = data;
  return [
    secret(BROKER_SECRET, { token, namespace, 'ca.crt': data['ca.crt'] ?? '' }),
    secret(PSK_SECRET, { psk: psk.toString('base64') }),
  ];
}

const WRITE = ['create', 'patch'];

/** What the operator has to be allowed to do in the joining cluster; more when gateways may be replaced by others. */
export function joinRights(mayReplaceGateways: boolean): readonly Right[] {
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
    { verbs: WRITE, type: RESOURCES.secrets, namespace },
    { verbs: [...WRITE, 'get'], type: RESOURCES.daemonSets, namespace },
    { verbs: ['list'], type: RESOURCES.pods, namespace },
    { verbs: [...WRITE, 'get'], type: RESOURCES.submariners, namespace },
    { verbs: ['list'], type: RESOURCES.gateways, namespace },
    { verbs: ['list'], type: RESOURCES.routeAgents, namespace },
    ...(mayReplaceGateways
      ? [
          { verbs: ['create', 'delete'], type: RESOURCES.pods, namespace },
          { verbs: ['patch'], type: RESOURCES.leases, namespace },
        ]
      : []),
  ];
}

/** What the token of broker-info.subm has to be allowed to do; upstream's broker role grants it too. */
export function brokerMemberRights(namespace: string): readonly Right[] {
  return [
    { verbs: ['list'], type: RESOURCES.clusters, namespace },
    { verbs: ['list'], type: RESOURCES.endpoints, namespace },
    { verbs: ['get'], type: RESOURCES.brokers, namespace },
    { verbs: ['get'], type: RESOURCES.configMaps, namespace },
    { verbs: ['create', 'get', 'list', 'update', 'delete'], type: RESOURCES.serviceAccounts, namespace },
    { verbs: ['create', 'get'], type: RESOURCES.roleBindings, namespace },
    { verbs: ['create', 'get', 'list'], type: RESOURCES.secrets, namespace },
  ];
}
