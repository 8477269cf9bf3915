import { BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET, SUBMARINER_NAME } from '../../api/names.ts';
import type { Submariner, SubmarinerSpec } from '../../api/types.ts';
import { isIpAddress } from '../../net/cidr.ts';
import { UsageError } from '../../runtime/errors.ts';
import type { ClusterNetworks } from './cidrs.ts';
import { chooseImages } from './images.ts';
import type { JoinOptions } from './options.ts';
import { ANNOTATIONS, parseConfigMapReference, recordedAnnotations } from './record.ts';

/** How the cluster reaches the broker. */
interface BrokerCoordinates {
  /** With scheme. */
  readonly server: string;
  readonly namespace: string;
  /** PEM. */
  readonly ca: string | undefined;
}

/** Everything that determines what is deployed. */
export interface JoinSettings {
  readonly clusterId: string;
  readonly networks: ClusterNetworks;
  readonly broker: BrokerCoordinates;
  readonly options: JoinOptions;
  /** Default tag of images. */
  readonly version: string;
}

const DRIVERS: Readonly<Record<string, string>> = {
  libreswan: 'libreswan',
  ipsec: 'libreswan',
  wireguard: 'wireguard',
  vxlan: 'vxlan',
};

/** The driver's name as the API has it; throws UsageError for an unknown one. */
export function cableDriverName(text: string): string {
  const name = DRIVERS[text.toLowerCase()];
  if (name !== undefined) return name;
  throw new UsageError(`--cable-driver: ${text} is unknown; choose ipsec (also called libreswan), wireguard or vxlan`);
}

/** The resolver text for --public-ip; throws UsageError when it is neither an address nor METHOD:VALUE. */
export function publicIpResolver(text: string | undefined): string {
  if (text === undefined || text === '') return '';
  if (isIpAddress(text)) return `ipv4:${text}`;
  if (/^(?:ipv4|dns|lb|api):[^:,\s]+$/.test(text)) return text;
  throw new UsageError(`--public-ip: ${text} is neither an address nor dns:NAME or lb:SERVICE`);
}

/** Throws UsageError when a link name cannot exist (Linux allows 15 characters without blank and slash). */
export function interfaceName(text: string | undefined): string {
  if (text === undefined || text === '') return '';
  if (/^[^\s/]{1,15}$/.test(text)) return text;
  throw new UsageError(`--interface: ${text} is not the name of a network link`);
}

/** A CA in PEM as the Submariner object holds it. */
export function encodeCa(pem: string): string {
  return Buffer.from(pem).toString('base64');
}

/** The Submariner object that records the configuration of the cluster. */
export function submarinerObject(settings: JoinSettings): Submariner {
  const { networks, options } = settings;
  const extra: Readonly<Record<string, string>> = {
    [ANNOTATIONS.podSource]: networks.podSource,
    [ANNOTATIONS.serviceSource]: networks.serviceSource,
    [ANNOTATIONS.plugin]: networks.plugin,
    [ANNOTATIONS.interface]: interfaceName(options.interface),
    [ANNOTATIONS.publicIp]: publicIpResolver(options.publicIp),
    ...recordedAnnotations(options),
  };
  const annotations = Object.fromEntries(Object.entries(extra).filter(([, value]) => value !== ''));
  return {
    apiVersion: 'submariner.io/v1alpha1',
    kind: 'Submariner',
    metadata: { name: SUBMARINER_NAME, namespace: OPERATOR_NAMESPACE, annotations },
    spec: submarinerSpec(settings),
  };
}

function submarinerSpec({ clusterId, networks, broker, options, version }: JoinSettings): SubmarinerSpec {
  const images = chooseImages(options, version);
  return {
    broker: 'k8s',
    brokerK8sApiServer: broker.server.replace(/^https?:\/\//, ''),
    ...(broker.ca === undefined ? {} : { brokerK8sCA: encodeCa(broker.ca) }),
    brokerK8sRemoteNamespace: broker.namespace,
    brokerK8sInsecure: !options.checkBrokerCertificate,
    brokerK8sSecret: BROKER_SECRET,
    cableDriver: cableDriverName(options.cableDriver),
    ceIPSecDebug: options.ipsecDebug,
    ceIPSecForceUDPEncaps: options.forceUdpEncaps,
    ceIPSecNATTPort: options.nattport,
    ceIPSecPSKSecret: PSK_SECRET,
    ceIPSecPreferredServer: options.preferredServer,
    clusterCIDR: networks.podCidrs.join(','),
    serviceCIDR: networks.serviceCidrs.join(','),
    clusterID: clusterId,
    connectionHealthCheck: {
      enabled: options.healthCheck,
      intervalSeconds: options.healthCheckInterval,
      maxPacketLossCount: options.healthCheckMaxPacketLossCount,
    },
    ...partsOfOthers(options),
    debug: options.podDebug,
    ...(Object.keys(images.overrides).length === 0 ? {} : { imageOverrides: images.overrides }),
    namespace: OPERATOR_NAMESPACE,
    natEnabled: options.natt,
    airGappedDeployment: options.airGapped,
    repository: images.repository,
    version: images.version,
    serviceDiscoveryEnabled: false,
  };
}

/** Settings of parts that are not deployed: recorded, without effect. */
function partsOfOthers(options: JoinOptions): Partial<SubmarinerSpec> {
  const { customDomains, corednsCustomConfigmap, clustersetIpCidr, enableClustersetIp, loadBalancer } = options;
  return {
    globalCIDR: options.globalnetCidr ?? '',
    loadBalancerEnabled: loadBalancer,
    ...(enableClustersetIp ? { clustersetIPEnabled: true } : {}),
    ...(clustersetIpCidr === undefined ? {} : { clustersetIPCIDR: clustersetIpCidr }),
    ...(customDomains === undefined ? {} : { customDomains }),
    ...(corednsCustomConfigmap === undefined
      ? {}
      : { coreDNSCustomConfig: parseConfigMapReference(corednsCustomConfigmap) }),
  };
}

/** The status an operator would write; with us the configuration is what is deployed. */
export function submarinerStatus({ clusterId, networks, options, version }: JoinSettings): Submariner['status'] {
  return {
    clusterID: clusterId,
    natEnabled: options.natt,
    clusterCIDR: networks.podCidrs.join(','),
    serviceCIDR: networks.serviceCidrs.join(','),
    globalCIDR: '',
    networkPlugin: networks.plugin,
    version: chooseImages(options, version).version,
  };
}
