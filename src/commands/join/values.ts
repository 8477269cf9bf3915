import { LEASE_DEFAULTS } from './record.ts';

/** One setting that the templates are filled with: a value of the Helm chart. */
export interface ManifestValue {
  readonly what: string;
  /** Its type is the type of the value. */
  readonly default: string | number | boolean | readonly string[] | Readonly<Record<string, string>>;
  /** Without it the chart is refused. */
  readonly required?: true;
  readonly choices?: readonly string[];
  /** Belongs into no file that others read. */
  readonly secret?: true;
}

const IDENTITY = {
  clusterId: { what: 'ID of the cluster in the set', default: '', required: true },
  clusterCidr: { what: 'pod CIDRs, comma-separated', default: '', required: true },
  serviceCidr: { what: 'Service CIDRs, comma-separated', default: '', required: true },
  networkPlugin: { what: 'network plugin, for the record', default: 'generic' },
  clusterCidrSource: { what: 'where the pod CIDRs come from, for the record', default: '--clustercidr' },
  serviceCidrSource: { what: 'where the Service CIDRs come from, for the record', default: '--servicecidr' },
} as const;

const BROKER = {
  brokerServer: { what: 'address of the broker, HOST:PORT', default: '', required: true },
  brokerNamespace: { what: 'namespace of the broker', default: 'submariner-k8s-broker' },
  brokerCa: { what: 'CA of the broker: PEM in base64', default: '' },
  brokerInsecure: { what: "accept any certificate of the broker's", default: false },
  brokerUrl: { what: 'address of the broker when it is not the one in broker-info.subm, for the record', default: '' },
  httpProxy: { what: 'HTTP_PROXY of the pods', default: '' },
  httpsProxy: { what: 'HTTPS_PROXY of the pods', default: '' },
  noProxy: { what: 'NO_PROXY of the pods', default: '' },
} as const;

const TUNNELS = {
  cableDriver: { what: 'tunnel', default: 'libreswan', choices: ['libreswan', 'wireguard', 'vxlan'] },
  cableDriverChange: {
    what: 'when another tunnel takes its place: with the other clusters, or without waiting for them',
    default: 'together',
    choices: ['together', 'now'],
  },
  nattPort: { what: 'UDP port of the tunnels', default: 4500 },
  natEnabled: { what: 'expect NAT when discovery gives no answer', default: true },
  publicIp: { what: 'public address of the gateways: ipv4:ADDRESS, dns:NAME or lb:SERVICE', default: '' },
  interface: { what: 'link of gateway nodes whose address the tunnels use', default: '' },
  preferredServer: { what: 'wait for the other side to open the tunnel', default: false },
  forceUdpEncaps: { what: 'wrap ESP in UDP also without NAT', default: false },
  airGapped: { what: 'never look up public addresses', default: false },
  ipsecDebug: { what: 'verbose IPsec daemon', default: false },
  healthCheckEnabled: { what: 'probe every tunnel', default: true },
  healthCheckInterval: { what: 'seconds between probes', default: 1 },
  healthCheckMaxPacketLossCount: { what: 'lost probes that make a tunnel an error', default: 5 },
} as const;

const ELECTION = {
  leaseDuration: {
    what: 'seconds after which a silent gateway is replaced',
    default: LEASE_DEFAULTS.gatewayLeaseDuration,
  },
  renewDeadline: { what: 'seconds after which it stops by itself', default: LEASE_DEFAULTS.gatewayRenewDeadline },
  retryPeriod: { what: 'seconds between renewals', default: LEASE_DEFAULTS.gatewayRetryPeriod },
  gatewayProbeInterval: {
    what: 'milliseconds between the probes of gateways among each other',
    default: LEASE_DEFAULTS.gatewayProbeInterval,
  },
} as const;

const IMAGES = {
  repository: { what: 'repository of the images', default: 'localhost/subctl' },
  version: { what: "tag of the images; empty: the chart's appVersion", default: '' },
  gatewayImage: { what: 'image of the engine; empty: of repository and version', default: '' },
  routeAgentImage: { what: 'image of the route agent; empty: of repository and version', default: '' },
  imagePullPolicy: {
    what: 'when images are pulled',
    default: 'IfNotPresent',
    choices: ['IfNotPresent', 'Always', 'Never'],
  },
  imageOverrides: { what: 'images given one by one, for the record', default: {} },
  debug: { what: 'verbose pods', default: false },
} as const;

const SECRETS = {
  ipsecPsk: {
    what: 'pre-shared key, base64; empty: Secret submariner-ipsec-psk is made by somebody else',
    default: '',
    secret: true,
  },
  brokerToken: {
    what: 'token of the cluster on the broker, base64; empty: Secret submariner-broker-secret is made by somebody else',
    default: '',
    secret: true,
  },
  brokerTokenNamespace: { what: 'namespace in that Secret, base64', default: '' },
  brokerTokenCa: { what: 'ca.crt in that Secret, base64', default: '' },
} as const;

/** Settings of parts that are not deployed. */
const RECORDED = {
  globalnet: { what: 'recorded only', default: true },
  globalnetClusterSize: { what: 'recorded only', default: '' },
  globalCidr: { what: 'recorded only', default: '' },
  loadBalancer: { what: 'recorded only', default: false },
  enableClustersetIp: { what: 'recorded only', default: false },
  clustersetIpCidr: { what: 'recorded only', default: '' },
  customDomains: { what: 'recorded only', default: [] },
  corednsCustomConfig: { what: 'recorded only', default: {} },
} as const;

/** All values of the manifests, in groups as the chart lists them. */
export const VALUE_GROUPS: Readonly<Record<string, Readonly<Record<string, ManifestValue>>>> = {
  'The cluster': IDENTITY,
  'The broker': BROKER,
  Tunnels: TUNNELS,
  'Election of the active gateway, each time longer than the next': ELECTION,
  'Images and pods': IMAGES,
  Secrets: SECRETS,
  'Without effect in this version': RECORDED,
};

/** All values of the manifests by name. */
export const VALUES = { ...IDENTITY, ...BROKER, ...TUNNELS, ...ELECTION, ...IMAGES, ...SECRETS, ...RECORDED } as const;

type Widened<T> = T extends string
  ? string
  : T extends number
    ? number
    : T extends boolean
      ? boolean
      : T extends readonly unknown[]
        ? readonly string[]
        : Readonly<Record<string, string>>;

/** A value for each name. */
export type ManifestValues = { readonly [Name in keyof typeof VALUES]: Widened<(typeof VALUES)[Name]['default']> };

/** The values about tunnels, but for their probes. */
export type TunnelValues = Pick<
  ManifestValues,
  Exclude<keyof typeof TUNNELS, 'healthCheckEnabled' | 'healthCheckInterval' | 'healthCheckMaxPacketLossCount'>
>;
/** The values without effect. */
export type RecordedValues = Pick<ManifestValues, keyof typeof RECORDED>;

/** Variables of the templates that are another value, but empty while that has its default. */
export const UNUSUAL = {
  unusualGlobalnet: 'globalnet',
  unusualCableDriverChange: 'cableDriverChange',
  unusualLeaseDuration: 'leaseDuration',
  unusualRenewDeadline: 'renewDeadline',
  unusualRetryPeriod: 'retryPeriod',
  unusualGatewayProbeInterval: 'gatewayProbeInterval',
} as const satisfies Readonly<Record<string, keyof ManifestValues>>;

/** The variables of the templates: all values, and those of them that are unusual. */
export function templateVariables(values: ManifestValues): Readonly<Record<string, unknown>> {
  const unusual = Object.entries(UNUSUAL).map(([name, of]) => [
    name,
    values[of] === VALUES[of].default ? '' : String(values[of]),
  ]);
  return { ...values, ...Object.fromEntries(unusual) };
}
