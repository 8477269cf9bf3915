import { canonicalCidr, ipFamily, parseCidr } from '../../net/cidr.ts';
import type { ConfigMap } from '../../kube/objects.ts';
import { UsageError } from '../../runtime/errors.ts';
import type { DeployBrokerOptions } from './options.ts';

/** The allocation maps of upstream: object names and the spelling of keys are its API. */
const GLOBALNET_MAP = 'submariner-globalnet-info';
const CLUSTERSET_IP_MAP = 'submariner-clustersetip-info';

/** Throws UsageError unless the text is an IPv4 range; returns its canonical form. */
export function requireRange(flag: string, text: string): string {
  const cidr = canonicalCidr(text);
  if (cidr === undefined || ipFamily(cidr) !== 4) throw new UsageError(`${flag}: ${text} is not an IPv4 CIDR`);
  return cidr;
}

/** Addresses of one cluster, rounded up to a power of two; throws UsageError when the range cannot hold two clusters. */
export function globalnetClusterSize(count: number, range: string): number {
  const size = 2 ** Math.ceil(Math.log2(count));
  const prefixLength = parseCidr(range)?.prefixLength ?? 32;
  const total = 2 ** (32 - prefixLength);
  if (size > total / 2) {
    throw new UsageError(`--globalnet-cluster-size: ${size} addresses are more than half of ${range} (${total})`);
  }
  return size;
}

/** ConfigMaps in which joining clusters allocate their global CIDR and clusterset IP range; lists already there are kept. */
export function allocationMaps(options: DeployBrokerOptions, existing: readonly ConfigMap[]): readonly ConfigMap[] {
  const maps: ConfigMap[] = [];
  const keep = (name: string): string =>
    existing.find(({ metadata }) => metadata.name === name)?.data?.['clusterinfo'] ?? '[]';
  if (options.globalnet) {
    const range = requireRange('--globalnet-cidr-range', options.globalnetCidrRange);
    maps.push(
      configMap(options.namespace, GLOBALNET_MAP, 'submariner-globalnet', {
        globalnetEnabled: 'true',
        globalnetCidrRange: JSON.stringify(range),
        globalnetClusterSize: String(globalnetClusterSize(options.globalnetClusterSize, range)),
        clusterinfo: keep(GLOBALNET_MAP),
      }),
    );
  }
  if (options.enableClustersetIp) {
    const range = requireRange('--clusterset-ip-cidr-range', options.clustersetIpCidrRange);
    maps.push(
      configMap(options.namespace, CLUSTERSET_IP_MAP, 'submariner-clustersetip', {
        clustersetIPEnabled: 'true',
        clustersetIPCidrRange: JSON.stringify(range),
        clustersetIPClusterSize: '0',
        clusterinfo: keep(CLUSTERSET_IP_MAP),
      }),
    );
  }
  return maps;
}

function configMap(
  namespace: string,
  name: string,
  component: string,
  data: Readonly<Record<string, string>>,
): ConfigMap {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels: { component } }, data };
}
