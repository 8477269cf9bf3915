import type { Submariner } from '../../api/types.ts';
import { discoverNetwork, type FoundCidr } from '../discovery/index.ts';
import { ANNOTATIONS } from '../join/record.ts';
import type { ShownCluster, View } from './view.ts';

/** A CIDR and where it is known from. */
interface SourcedCidr {
  readonly cidr: string;
  readonly source: string;
}

/** The networks of a cluster, as -o json prints them. */
interface NetworkItem {
  readonly cluster: string;
  /** Whether the values are those the cluster joined with, or were discovered just now. */
  readonly joined: boolean;
  readonly networkPlugin: string;
  readonly serviceCIDRs: readonly SourcedCidr[];
  readonly clusterCIDRs: readonly SourcedCidr[];
  readonly globalCIDR: string;
  readonly clustersetIPCIDR: string;
  readonly problems: readonly string[];
}

const RECORDED = 'Submariner object';

/** What a joined cluster announces, with the sources that join recorded. */
function recordedNetwork(cluster: string, { metadata, spec, status }: Submariner): NetworkItem {
  const { annotations = {} } = metadata;
  // Upstream's operator writes what it discovered into the status and leaves the spec empty.
  const known = (name: 'serviceCIDR' | 'clusterCIDR' | 'globalCIDR'): string => spec[name] || (status?.[name] ?? '');
  return {
    cluster,
    joined: true,
    networkPlugin: status?.networkPlugin ?? annotations[ANNOTATIONS.plugin] ?? '',
    serviceCIDRs: sourced(known('serviceCIDR'), annotations[ANNOTATIONS.serviceSource]),
    clusterCIDRs: sourced(known('clusterCIDR'), annotations[ANNOTATIONS.podSource]),
    globalCIDR: known('globalCIDR'),
    clustersetIPCIDR: '',
    problems: [],
  };
}

function sourced(list: string, source: string | undefined): readonly SourcedCidr[] {
  const cidrs = list.split(',').filter((cidr) => cidr !== '');
  return cidrs.map((cidr) => ({ cidr, source: source ?? RECORDED }));
}

async function readNetwork({ client, submariner, clusterId }: ShownCluster): Promise<NetworkItem> {
  if (submariner !== undefined) return recordedNetwork(clusterId, submariner);
  const found = await discoverNetwork(client);
  return {
    cluster: clusterId,
    joined: false,
    networkPlugin: found.plugin,
    serviceCIDRs: found.serviceCidrs.map(plain),
    clusterCIDRs: found.podCidrs.map(plain),
    globalCIDR: '',
    clustersetIPCIDR: '',
    problems: found.problems,
  };
}

function plain({ cidr, source }: FoundCidr): SourcedCidr {
  return { cidr, source };
}

/** The lines upstream prints, each value with its source. */
function describeNetwork(item: NetworkItem): string {
  const row = (name: string, value: string): string => `    ${name.padEnd(17)} ${value}\n`;
  const cidrs = (list: readonly SourcedCidr[]): string =>
    list.length === 0 ? 'not found' : list.map(({ cidr, source }) => `${cidr} (${source})`).join(', ');
  return [
    row('Network plugin:', item.networkPlugin || 'unknown'),
    row('Service CIDRs:', cidrs(item.serviceCIDRs)),
    row('Cluster CIDRs:', cidrs(item.clusterCIDRs)),
    item.globalCIDR === '' ? '' : row('Global CIDR:', item.globalCIDR),
    item.clustersetIPCIDR === '' ? '' : row('ClustersetIP CIDR:', item.clustersetIPCIDR),
    item.joined ? '' : row('', 'not joined; discovered just now'),
    ...item.problems.map((problem) => row('Doubt:', problem)),
  ].join('');
}

/** `subctl show networks`. */
export const networksView: View = {
  name: 'networks',
  summary: 'pod and Service CIDRs and where they are known from',
  joinedOnly: false,
  empty: 'nothing is known',
  emptyIsFailure: false,
  read: async (cluster) => {
    const item = await readNetwork(cluster);
    const names = [...item.serviceCIDRs, ...item.clusterCIDRs].map(({ cidr }) => cidr);
    return { items: [item], names, table: () => describeNetwork(item), notes: [] };
  },
};
