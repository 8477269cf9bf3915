import type { Submariner } from '../../api/types.ts';
import type { ImageOptions } from './images.ts';
import type { JoinOptions } from './options.ts';

/** On the Submariner object: where its CIDRs come from, and settings its schema has no field for. */
export const ANNOTATIONS = {
  podSource: 'subctl.submariner.io/clustercidr-source',
  serviceSource: 'subctl.submariner.io/servicecidr-source',
  plugin: 'subctl.submariner.io/network-plugin',
  interface: 'subctl.submariner.io/interface',
  publicIp: 'subctl.submariner.io/public-ip',
  brokerUrl: 'subctl.submariner.io/broker-url',
  httpProxy: 'subctl.submariner.io/http-proxy',
  httpsProxy: 'subctl.submariner.io/https-proxy',
  noProxy: 'subctl.submariner.io/no-proxy',
  globalnet: 'subctl.submariner.io/globalnet',
  globalnetClusterSize: 'subctl.submariner.io/globalnet-cluster-size',
  cableDriverChange: 'subctl.submariner.io/cable-driver-change',
  gatewayLeaseDuration: 'subctl.submariner.io/gateway-lease-duration',
  gatewayRenewDeadline: 'subctl.submariner.io/gateway-renew-deadline',
  gatewayRetryPeriod: 'subctl.submariner.io/gateway-retry-period',
  gatewayProbeInterval: 'subctl.submariner.io/gateway-probe-interval',
} as const;

/**
 * Seconds: how long a lease lasts, how long its holder tries to renew it, how often; and milliseconds between two beats of
 * a gateway. Standard ones are not recorded.
 */
export const LEASE_DEFAULTS = {
  gatewayLeaseDuration: 5,
  gatewayRenewDeadline: 4,
  gatewayRetryPeriod: 1,
  gatewayProbeInterval: 100,
} as const;

type Recorded = { readonly [Name in keyof JoinOptions]?: JoinOptions[Name] | undefined };

/** The options of a join as if everything that the Submariner object records had been given, but for those given now. */
export function recallOptions(
  options: JoinOptions,
  given: (option: string) => boolean,
  submariner: Submariner | undefined,
): JoinOptions {
  if (submariner === undefined) return options;
  const kept = Object.entries(recorded(submariner)).filter(([name, value]) => value !== undefined && !given(name));
  return { ...options, ...Object.fromEntries(kept) };
}

function recorded(submariner: Submariner): Recorded {
  return { ...recordedInSpec(submariner), ...recordedImages(submariner), ...recordedExtras(submariner) };
}

function recordedInSpec({ spec, metadata }: Submariner): Recorded {
  const { connectionHealthCheck: health, coreDNSCustomConfig: coredns, brokerK8sInsecure: insecure } = spec;
  const { annotations = {} } = metadata;
  const ifGiven = (source: string, flag: string, cidrs: string): string | undefined =>
    annotations[source] === flag && cidrs !== '' ? cidrs : undefined;
  return {
    clustercidr: ifGiven(ANNOTATIONS.podSource, '--clustercidr', spec.clusterCIDR),
    servicecidr: ifGiven(ANNOTATIONS.serviceSource, '--servicecidr', spec.serviceCIDR),
    cableDriver: spec.cableDriver,
    natt: spec.natEnabled,
    nattport: spec.ceIPSecNATTPort,
    preferredServer: spec.ceIPSecPreferredServer,
    forceUdpEncaps: spec.ceIPSecForceUDPEncaps,
    ipsecDebug: spec.ceIPSecDebug,
    podDebug: spec.debug,
    loadBalancer: spec.loadBalancerEnabled,
    airGapped: spec.airGappedDeployment,
    healthCheck: health?.enabled,
    healthCheckInterval: health?.intervalSeconds,
    healthCheckMaxPacketLossCount: health?.maxPacketLossCount,
    checkBrokerCertificate: insecure === undefined ? undefined : !insecure,
    globalnetCidr: spec.globalCIDR === '' ? undefined : spec.globalCIDR,
    customDomains: spec.customDomains,
    corednsCustomConfigmap: coredns === undefined ? undefined : configMapReference(coredns),
    enableClustersetIp: spec.clustersetIPEnabled,
    clustersetIpCidr: spec.clustersetIPCIDR,
  };
}

/** The images a cluster joined with, if this program joined it: upstream's images are not for us. */
export function recordedImages({ spec, metadata }: Submariner): ImageOptions {
  if (metadata.annotations?.[ANNOTATIONS.podSource] === undefined) return {};
  const overrides = Object.entries(spec.imageOverrides ?? {}).map(([component, image]) => `${component}=${image}`);
  return {
    ...(spec.repository === undefined ? {} : { repository: spec.repository }),
    ...(spec.version === undefined ? {} : { version: spec.version }),
    imageOverride: overrides,
  };
}

function recordedExtras({ metadata }: Submariner): Recorded {
  const text = (name: keyof typeof ANNOTATIONS): string | undefined => metadata.annotations?.[ANNOTATIONS[name]];
  const number = (name: keyof typeof ANNOTATIONS): number | undefined => {
    const value = text(name);
    return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
  };
  return {
    interface: text('interface'),
    publicIp: text('publicIp'),
    brokerUrl: text('brokerUrl'),
    httpProxy: text('httpProxy'),
    httpsProxy: text('httpsProxy'),
    proxy: text('noProxy'),
    globalnet: text('globalnet') === 'false' ? false : undefined,
    globalnetClusterSize: number('globalnetClusterSize'),
    cableDriverChange: text('cableDriverChange') === 'now' ? 'now' : undefined,
    gatewayLeaseDuration: number('gatewayLeaseDuration'),
    gatewayRenewDeadline: number('gatewayRenewDeadline'),
    gatewayRetryPeriod: number('gatewayRetryPeriod'),
    gatewayProbeInterval: number('gatewayProbeInterval'),
  };
}

/** A ConfigMap named by `[namespace/]name`. */
export interface CustomConfig {
  readonly configMapName?: string;
  readonly namespace?: string;
}

/** The ConfigMap of --coredns-custom-configmap, `[namespace/]name`. */
export function parseConfigMapReference(text: string): CustomConfig {
  const [first = '', second] = text.split('/');
  return second === undefined ? { configMapName: first } : { namespace: first, configMapName: second };
}

function configMapReference({ configMapName = '', namespace }: CustomConfig): string {
  return namespace === undefined ? configMapName : `${namespace}/${configMapName}`;
}
