import type { Broker } from '../../api/types.ts';
import { isNotFound } from '../../kube/errors.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Column } from '../output.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** A broker in a cluster, as -o json prints it. */
interface BrokerItem {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly components: readonly string[];
  readonly globalnet: boolean;
  readonly globalnetCIDR: string;
  readonly defaultGlobalnetSize: number | null;
  readonly defaultDomains: readonly string[];
}

const COLUMNS: readonly Column<BrokerItem>[] = [
  { header: 'NAMESPACE', value: ({ namespace }) => namespace, maxWidth: 24 },
  { header: 'NAME', value: ({ name }) => name, maxWidth: 24 },
  { header: 'COMPONENTS', value: ({ components }) => components },
  { header: 'GLOBALNET', value: ({ globalnet }) => globalnet },
  { header: 'GLOBALNET CIDR', value: ({ globalnetCIDR }) => globalnetCIDR },
  { header: 'DEFAULT GLOBALNET SIZE', value: ({ defaultGlobalnetSize }) => defaultGlobalnetSize ?? undefined },
  { header: 'DEFAULT DOMAINS', value: ({ defaultDomains }) => defaultDomains, maxWidth: 40 },
];

/** Broker objects of all namespaces; none where the kind is unknown. */
async function readBrokers({ client, cluster }: ShownCluster): Promise<readonly BrokerItem[]> {
  try {
    const { items } = await client.list<Broker>(RESOURCES.brokers);
    return items.map((broker) => brokerItem(cluster, broker));
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

function brokerItem(cluster: string, { metadata, spec }: Broker): BrokerItem {
  return {
    cluster,
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    components: spec.components ?? [],
    globalnet: spec.globalnetEnabled ?? false,
    globalnetCIDR: spec.globalnetCIDRRange ?? '',
    defaultGlobalnetSize: spec.defaultGlobalnetClusterSize ?? null,
    defaultDomains: spec.defaultCustomDomains ?? [],
  };
}

/** `subctl show brokers`. */
export const brokersView: View = {
  name: 'brokers',
  summary: 'brokers and their settings',
  joinedOnly: false,
  empty: 'no brokers found',
  emptyIsFailure: false,
  read: async (cluster) => shown(await readBrokers(cluster), COLUMNS, ({ name }) => `broker.submariner.io/${name}`),
};
