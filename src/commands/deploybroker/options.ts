/** Flags of deploy-broker, named as upstream names them. */
export interface DeployBrokerOptions {
  readonly namespace: string;
  readonly globalnet: boolean;
  readonly globalnetCidrRange: string;
  readonly globalnetClusterSize: number;
  readonly ipsecPskFrom?: string;
  readonly newIpsecPsk: boolean;
  readonly customDomains?: readonly string[];
  readonly components: readonly string[];
  readonly brokerUrl?: string;
  readonly enableClustersetIp: boolean;
  readonly clustersetIpCidrRange: string;
  readonly dryRun: boolean;
}
