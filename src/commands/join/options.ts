/** Flags of join, named as upstream names them. */
export interface JoinOptions {
  readonly clusterid?: string;
  readonly servicecidr?: string;
  readonly clustercidr?: string;
  readonly gatewayNodes?: readonly string[];
  readonly gateways?: number;
  readonly labelGateway: boolean;
  readonly interface?: string;
  readonly publicIp?: string;
  readonly cableDriver: string;
  /** together or now. */
  readonly cableDriverChange: string;
  readonly natt: boolean;
  readonly nattport: number;
  readonly preferredServer: boolean;
  readonly forceUdpEncaps: boolean;
  readonly loadBalancer: boolean;
  readonly airGapped: boolean;
  readonly healthCheck: boolean;
  readonly healthCheckInterval: number;
  readonly healthCheckMaxPacketLossCount: number;
  /** Seconds. */
  readonly gatewayLeaseDuration: number;
  readonly gatewayRenewDeadline: number;
  readonly gatewayRetryPeriod: number;
  /** Milliseconds. */
  readonly gatewayProbeInterval: number;
  readonly ipsecDebug: boolean;
  readonly podDebug: boolean;
  readonly operatorDebug: boolean;
  readonly repository?: string;
  readonly version?: string;
  readonly imageOverride?: readonly string[];
  readonly brokerUrl?: string;
  /** Milliseconds that the cluster's credential at the broker lasts, between two renewals. */
  readonly brokerTokenExpiry?: number;
  readonly checkBrokerCertificate: boolean;
  readonly ignoreRequirements: boolean;
  readonly globalnet: boolean;
  readonly globalnetClusterSize?: number;
  readonly globalnetCidr?: string;
  readonly customDomains?: readonly string[];
  readonly corednsCustomConfigmap?: string;
  readonly enableClustersetIp: boolean;
  readonly clustersetIpCidr?: string;
  readonly httpProxy?: string;
  readonly httpsProxy?: string;
  /** --no-proxy LIST; true when not given, because commander takes it for the opposite of --proxy. */
  readonly proxy?: string | boolean;
  readonly dryRun: boolean;
  /** --include: what --dry-run prints besides the manifests for Git. */
  readonly include?: readonly string[];
  /** --helm-values: values instead of manifests. */
  readonly helmValues: boolean;
}
