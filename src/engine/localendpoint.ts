import { withoutNext } from '../api/driverchange.ts';
import { GATEWAYS_ANNOTATION, renderGateways, type ClusterGateways } from '../api/gateways.ts';
import { cableName, endpointName, validName } from '../api/names.ts';
import type { Cluster, Endpoint, EndpointSpec } from '../api/types.ts';
import { cidrContains } from '../net/cidr.ts';
import type { EngineConfig } from './config.ts';
import type { NodeConfig } from './nodeconfig.ts';

/** An address on a link of this node. */
export interface LinkAddress {
  readonly link: string;
  readonly address: string;
}

/** What has to be known of the node to choose private_ip. */
export interface PrivateIpInputs {
  readonly interfaceName: string | undefined;
  readonly addresses: readonly LinkAddress[];
  /** private_ip this node published before. */
  readonly published: string | undefined;
  /** Source addresses the kernel would use towards other gateways and the broker, best first. */
  readonly routeSources: readonly string[];
  /** InternalIP of the Node object. */
  readonly nodeIp: string | undefined;
}

/**
 * The address other gateways know this node by: that of the configured link; the one published before while the node
 * still has it; the one on the route to the other gateways or the broker; the node's. Never asks outside hosts.
 */
export function choosePrivateIp(inputs: PrivateIpInputs): { readonly ip: string } | { readonly problem: string } {
  const { interfaceName, addresses, published, routeSources, nodeIp } = inputs;
  if (interfaceName !== undefined) {
    const found = addresses.find(({ link }) => link === interfaceName);
    if (found !== undefined) return { ip: found.address };
    return { problem: `SUBMARINER_INTERFACE=${interfaceName}: this node has no such link with an IPv4 address` };
  }
  const held = new Set(addresses.map(({ address }) => address));
  const candidates = [published, ...routeSources, nodeIp].filter((ip) => ip !== undefined);
  const ip = candidates.find((candidate) => held.has(candidate) && !candidate.startsWith('127.'));
  if (ip !== undefined) return { ip };
  return {
    problem:
      'no address of this node leads to the other gateways or the broker: no route; see `ip route`, or name a link in SUBMARINER_INTERFACE',
  };
}

/** The node's address inside the pod network, on any link: what remote gateways probe. */
export function chooseCniAddress(
  addresses: readonly LinkAddress[],
  clusterCidrs: readonly string[],
): string | undefined {
  return addresses.find(({ address }) => clusterCidrs.some((cidr) => cidrContains(cidr, address)))?.address;
}

/** All that the local Endpoint is made of. */
export interface LocalFacts {
  readonly config: EngineConfig;
  readonly node: NodeConfig;
  readonly privateIp: string;
  readonly cniAddress: string | undefined;
  readonly publicIp: { readonly ip: string; readonly resolver?: string; readonly loadBalancer: boolean };
  readonly backend: string;
  /** What the driver wants peers to know. */
  readonly driverConfig: Readonly<Record<string, string>>;
}

/** The spec of the local Endpoint, fields as upstream writes them. */
export function localEndpointSpec(facts: LocalFacts): EndpointSpec {
  const { config, node, privateIp, cniAddress, publicIp, backend, driverConfig } = facts;
  const { globalCidrs, serviceCidrs, clusterCidrs } = config;
  const preferredServer = publicIp.loadBalancer || (node.preferredServer ?? config.preferredServer);
  return {
    cluster_id: config.clusterId,
    cable_name: cableName(config.clusterId, privateIp),
    ...(cniAddress === undefined || !config.healthCheck.enabled ? {} : { healthCheckIP: cniAddress }),
    hostname: config.nodeName,
    subnets: globalCidrs.length > 0 ? globalCidrs : [...serviceCidrs, ...clusterCidrs],
    private_ip: privateIp,
    public_ip: publicIp.ip,
    nat_enabled: config.natEnabled,
    backend,
    backend_config: {
      ...driverConfig,
      'udp-port': String(node.udpPort),
      'natt-discovery-port': String(node.nattDiscoveryPort),
      'preferred-server': String(preferredServer),
      ...(publicIp.resolver === undefined ? {} : { 'public-ip': publicIp.resolver }),
      ...(publicIp.loadBalancer ? { 'using-loadbalancer': 'true' } : {}),
    },
  };
}

/** The local Endpoint object, with what the cluster's gateways are, and will be, for peers that want to know. */
export function localEndpoint(spec: EndpointSpec, namespace: string, gateways?: ClusterGateways): Endpoint {
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Endpoint',
    metadata: {
      name: endpointName(spec.cluster_id, spec.cable_name),
      namespace,
      ...(gateways === undefined ? {} : { annotations: { [GATEWAYS_ANNOTATION]: renderGateways(gateways) } }),
    },
    spec: withoutNext(spec),
  };
}

/** The local Cluster object. */
export function localCluster(config: EngineConfig): Cluster {
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Cluster',
    metadata: { name: validName(config.clusterId), namespace: config.namespace },
    spec: {
      cluster_id: config.clusterId,
      color_codes: ['blue'],
      service_cidr: config.serviceCidrs,
      cluster_cidr: config.clusterCidrs,
      global_cidr: config.globalCidrs,
    },
  };
}
