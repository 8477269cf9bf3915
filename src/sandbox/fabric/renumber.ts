import { addressAt, canonicalAddress, cidrContains } from '../../net/cidr.ts';
import { UsageError } from '../../runtime/errors.ts';
import type { ClusterPlan, NodePlan } from '../plan.ts';
import { inNamespace, type FabricTools } from './fabric.ts';

/** Why a node of the cluster cannot have this address on the LAN; undefined when it can. */
export function addressProblem(cluster: ClusterPlan, node: NodePlan, address: string): string | undefined {
  if (canonicalAddress(address) !== address) return `${address} is not an address such as ${node.address}`;
  const edges = [addressAt(cluster.lanCidr, 0), addressAt(cluster.lanCidr, 255)];
  if (!cidrContains(cluster.lanCidr, `${address}/32`) || edges.includes(address)) {
    return `${address} is no address of the LAN ${cluster.lanCidr}`;
  }
  const taken = new Map([
    [cluster.router, 'the router'],
    [cluster.controlPlane.lanAddress, 'the control plane'],
    ...cluster.nodes.filter((other) => other !== node).map((other) => [other.address, other.name] as const),
  ]).get(address);
  return taken === undefined ? undefined : `${address} is the address of ${taken}`;
}

/**
 * Gives a living node another address on its LAN, as a lease of DHCP would: the new one is added, then the old one goes;
 * routes stay. The node's agent notices. Throws UsageError for an address it cannot have.
 */
export async function renumberNode(
  { runner }: FabricTools,
  cluster: ClusterPlan,
  node: NodePlan,
  address: string,
): Promise<'renumbered' | 'unchanged'> {
  const problem = addressProblem(cluster, node, address);
  if (problem !== undefined) throw new UsageError(`--renumber: ${problem}`);
  const { namespace, uplink } = node;
  const { stdout } = await runner.run('ip', ['-n', namespace, '-o', '-4', 'address', 'show', 'dev', uplink]);
  const present = [...stdout.matchAll(/ inet (\S+) /g)].map((match) => match[1] ?? '');
  const wanted = `${address}/24`;
  if (present.length === 1 && present[0] === wanted) return 'unchanged';
  const [sysctl = '', ...args] = inNamespace(namespace, [
    'sysctl',
    '-qw',
    `net.ipv4.conf.${uplink}.promote_secondaries=1`,
  ]);
  await runner.run(sysctl, args);
  const lines = [
    ...(present.includes(wanted) ? [] : [`address add ${wanted} dev ${uplink}`]),
    ...present.filter((one) => one !== wanted).map((one) => `address del ${one} dev ${uplink}`),
    `route replace default via ${cluster.router} dev ${uplink}`,
  ];
  await runner.run('ip', ['-n', namespace, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  return 'renumbered';
}
