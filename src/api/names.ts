/** Names that are part of the API we share with upstream. */
export const OPERATOR_NAMESPACE = 'submariner-operator';
export const BROKER_NAMESPACE = 'submariner-k8s-broker';
export const GATEWAY_LEASE = 'submariner-gateway-lock';
export const GATEWAY_LABEL = 'submariner.io/gateway';
/** On every object that came from (or went to) the broker: the ID of the cluster that owns it. */
export const CLUSTER_ID_LABEL = 'submariner-io/clusterID';
export const BROKER_SECRET = 'submariner-broker-secret';
export const PSK_SECRET = 'submariner-ipsec-psk';
export const SUBMARINER_NAME = 'submariner';
export const BROKER_NAME = 'submariner-broker';
/** Annotation of a Gateway with the time it was last written, in Unix seconds. */
export const UPDATE_TIMESTAMP = 'update-timestamp';
export const FIELD_MANAGER = 'subctl';
/** Prefix of node labels and annotations that configure a gateway (udp-port, public-ip …); the annotation wins. */
export const GATEWAY_CONFIG_PREFIX = 'gateway.submariner.io/';
/** Component names of images, as upstream's --image-override has them. */
export const GATEWAY_COMPONENT = 'submariner-gateway';
export const ROUTEAGENT_COMPONENT = 'submariner-routeagent';
/** Default UDP ports: tunnels, NAT discovery. */
export const TUNNEL_PORT = 4500;
export const NAT_DISCOVERY_PORT = 4490;

/** A Kubernetes object name made of any text: lower case, runs of other characters become `-`, ends trimmed. */
export function validName(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

/** cable_name of an Endpoint. */
export function cableName(clusterId: string, privateIp: string): string {
  return `submariner-cable-${clusterId}-${privateIp.replaceAll(/[.:]/g, '-')}`;
}

/** Object name of an Endpoint. */
export function endpointName(clusterId: string, cable: string): string {
  return validName(`${clusterId}-${cable}`);
}

/**
 * Names that Endpoints of a cluster have on the broker: few, and known before its gateways are, so that RBAC can name
 * them. There are more than Endpoints at a time, which are two while one gateway follows another.
 */
export function brokerEndpointNames(clusterId: string): readonly string[] {
  return Array.from({ length: 4 }, (_, index) => `${clusterId}-gateway-${index}`);
}

/** Annotation of a Gateway that says what its cable driver is, e.g. whether ESP is in the kernel. */
export const CABLE_DRIVER_ANNOTATION = 'gateway.submariner.io/cable-driver';
