import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { KubeObject } from '../../kube/client.ts';
import { cidrContains } from '../../net/cidr.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { discoverNetwork } from '../discovery/index.ts';
import { failedIf, skipped, warningIf, type Check, type CheckContext, type Outcome } from './check.ts';
import { isReadyNode } from './cluster.ts';

/** Those that do not send pod packets by the node's routes in the usual way. */
const OWN_WAYS: ReadonlyMap<string, string> = new Map([
  [
    'OVNKubernetes',
    'sends packets of pods by its own flows, not by the routes of the node; this release does nothing for it',
  ],
  [
    'cilium',
    'may send packets of pods by its own programs, not by the routes of the node; this release was not tried on it',
  ],
]);

interface IpPool extends KubeObject {
  readonly spec?: { readonly cidr?: string; readonly disabled?: boolean; readonly natOutgoing?: boolean };
}

const IP_POOLS = {
  group: 'crd.projectcalico.org',
  version: 'v1',
  plural: 'ippools',
  kind: 'IPPool',
  namespaced: false,
};

async function plugin({ cluster }: CheckContext): Promise<Outcome> {
  const { plugin: name } = await discoverNetwork(cluster.client);
  const reason = OWN_WAYS.get(name);
  return warningIf(
    reason === undefined ? [] : [{ object: `CNI ${name}`, reason }],
    name === 'generic' ? 'none that is recognised' : name,
  );
}

async function addresses({ cluster }: CheckContext): Promise<Outcome> {
  const nodes = (await cluster.facts.nodes()).filter(isReadyNode).map(({ metadata }) => metadata.name ?? '');
  const read = await Promise.all(
    nodes.map(async (node) => {
      try {
        return { node, host: (await cluster.facts.routeAgent(node)).inputs.host };
      } catch (error) {
        if (error instanceof ExpectedError) return { node, host: undefined };
        throw error;
      }
    }),
  );
  const without = read.filter(({ host }) => host !== undefined && host?.cni === null);
  return warningIf(
    without.map(({ node }) => ({ object: `node ${node}`, reason: 'no link has an address in the pod network' })),
    `${read.length} nodes`,
  );
}

/** Calico translates and filters by its pools: those of other clusters have to be known to it. */
async function calico({ cluster }: CheckContext): Promise<Outcome> {
  try {
    const { items } = await cluster.client.list<IpPool>(IP_POOLS);
    if (items.length === 0) return skipped('the cluster has no Calico');
    const endpoints = await cluster.facts.endpoints();
    const remote = endpoints.filter(({ spec }) => spec.cluster_id !== cluster.clusterId);
    const subnets = remote.flatMap(({ spec }) => spec.subnets.map((cidr) => ({ cidr, id: spec.cluster_id })));
    const isKept = (cidr: string): boolean =>
      items.some(
        ({ spec }) => spec?.disabled === true && spec.natOutgoing !== true && cidrContains(spec.cidr ?? '', cidr),
      );
    return failedIf(
      subnets
        .filter(({ cidr }) => !isKept(cidr))
        .map(({ cidr, id }) => ({
          object: `${cidr} of ${id}`,
          reason: 'no disabled IPPool without natOutgoing covers it',
        })),
    );
  } catch (error) {
    if (isNotFound(error)) return skipped('the cluster has no Calico');
    if (isForbidden(error)) return skipped('no right to look at the IPPools of Calico');
    throw error;
  }
}

/** The pod network. */
export const CNI_CHECKS: readonly Check[] = [
  {
    category: 'cni',
    name: 'plugin',
    title: 'The CNI sends packets of pods by the routes of the node',
    hint: 'subctl diagnose connections proves whether it works; docs/requirements.md tells what CNIs need.',
    joinedOnly: false,
    run: plugin,
  },
  {
    category: 'cni',
    name: 'addresses',
    title: 'Every node has an address in the pod network',
    hint: 'Pods work without; packets of the node itself to other clusters get no answer. Look at `ip addr` of the node.',
    joinedOnly: true,
    run: addresses,
  },
  {
    category: 'cni',
    name: 'calico',
    title: 'Calico leaves packets for other clusters alone',
    hint: 'Make an IPPool for each CIDR of the other clusters, with disabled: true and natOutgoing: false (docs/requirements.md).',
    joinedOnly: true,
    run: calico,
  },
];
