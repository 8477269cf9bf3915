/**
 * Custom resources of submariner.io as upstream defines them (v1 and v1alpha1). The spelling of the fields is the wire
 * format; readers tolerate fields not named here.
 */

/** The metadata our objects use; structurally the same as the API server's. */
export interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string | null;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ClusterSpec {
  readonly cluster_id: string;
  readonly color_codes?: readonly string[];
  readonly service_cidr: readonly string[];
  readonly cluster_cidr: readonly string[];
  readonly global_cidr: readonly string[];
}

export interface Cluster {
  readonly apiVersion: 'submariner.io/v1';
  readonly kind: 'Cluster';
  readonly metadata: Metadata;
  readonly spec: ClusterSpec;
}

export interface EndpointSpec {
  readonly cluster_id: string;
  readonly cable_name: string;
  readonly healthCheckIP?: string;
  readonly hostname: string;
  readonly subnets: readonly string[];
  readonly private_ip: string;
  readonly public_ip: string;
  readonly nat_enabled: boolean;
  readonly backend: string;
  readonly backend_config?: Readonly<Record<string, string>>;
}

export interface Endpoint {
  readonly apiVersion: 'submariner.io/v1';
  readonly kind: 'Endpoint';
  readonly metadata: Metadata;
  readonly spec: EndpointSpec;
}

export type ConnectionStatus = 'connected' | 'connecting' | 'error' | 'none';

/** Go duration strings, e.g. 1.2345ms. */
export interface LatencyRtt {
  readonly last: string;
  readonly min: string;
  readonly average: string;
  readonly max: string;
  readonly stdDev: string;
}

export interface Connection {
  readonly status: ConnectionStatus;
  readonly statusMessage: string;
  readonly endpoint: EndpointSpec;
  readonly usingIP?: string;
  readonly usingNAT?: boolean;
  readonly latencyRTT?: LatencyRtt;
}

export type HaStatus = 'active' | 'passive';

export interface GatewayStatus {
  readonly version: string;
  readonly haStatus: HaStatus;
  readonly localEndpoint: EndpointSpec;
  readonly statusFailure: string;
  readonly connections: readonly Connection[];
}

export interface Gateway {
  readonly apiVersion: 'submariner.io/v1';
  readonly kind: 'Gateway';
  readonly metadata: Metadata;
  readonly status: GatewayStatus;
}

export interface RemoteEndpointStatus {
  readonly status: ConnectionStatus;
  readonly statusMessage: string;
  readonly spec: EndpointSpec;
  readonly latencyRTT?: LatencyRtt;
}

export interface RouteAgent {
  readonly apiVersion: 'submariner.io/v1';
  readonly kind: 'RouteAgent';
  readonly metadata: Metadata;
  readonly status: {
    readonly version: string;
    readonly statusFailure: string;
    readonly remoteEndpoints: readonly RemoteEndpointStatus[];
  };
}

export interface SubmarinerSpec {
  readonly broker: string;
  readonly brokerK8sApiServer: string;
  readonly brokerK8sCA?: string;
  readonly brokerK8sRemoteNamespace: string;
  readonly brokerK8sInsecure?: boolean;
  readonly brokerK8sSecret?: string;
  readonly cableDriver?: string;
  readonly ceIPSecDebug: boolean;
  readonly ceIPSecForceUDPEncaps?: boolean;
  readonly ceIPSecNATTPort?: number;
  readonly ceIPSecPSKSecret?: string;
  readonly ceIPSecPreferredServer?: boolean;
  readonly clusterCIDR: string;
  readonly serviceCIDR: string;
  readonly clusterID: string;
  readonly connectionHealthCheck?: {
    readonly enabled: boolean;
    readonly intervalSeconds: number;
    readonly maxPacketLossCount: number;
  };
  readonly clustersetIPCIDR?: string;
  readonly clustersetIPEnabled?: boolean;
  readonly coreDNSCustomConfig?: { readonly configMapName?: string; readonly namespace?: string };
  readonly customDomains?: readonly string[];
  readonly debug: boolean;
  readonly globalCIDR?: string;
  readonly imageOverrides?: Readonly<Record<string, string>>;
  readonly loadBalancerEnabled?: boolean;
  readonly namespace: string;
  readonly natEnabled: boolean;
  readonly airGappedDeployment?: boolean;
  readonly repository?: string;
  readonly version?: string;
  readonly serviceDiscoveryEnabled?: boolean;
}

export interface Submariner {
  readonly apiVersion: 'submariner.io/v1alpha1';
  readonly kind: 'Submariner';
  readonly metadata: Metadata;
  readonly spec: SubmarinerSpec;
  readonly status?: {
    readonly clusterID: string;
    readonly natEnabled: boolean;
    readonly clusterCIDR?: string;
    readonly serviceCIDR?: string;
    readonly globalCIDR?: string;
    readonly networkPlugin?: string;
    readonly version?: string;
  };
}

export interface BrokerSpec {
  readonly components?: readonly string[];
  readonly defaultCustomDomains?: readonly string[];
  readonly globalnetEnabled?: boolean;
  readonly globalnetCIDRRange?: string;
  readonly defaultGlobalnetClusterSize?: number;
  readonly clustersetIPEnabled?: boolean;
  readonly clustersetIPCIDRRange?: string;
}

export interface Broker {
  readonly apiVersion: 'submariner.io/v1alpha1';
  readonly kind: 'Broker';
  readonly metadata: Metadata;
  readonly spec: BrokerSpec;
}
