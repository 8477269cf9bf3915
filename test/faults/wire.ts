import type { ClusterPlan, NodePlan, SandboxPlan } from '../../src/sandbox/plan.ts';
import { DATAGRAM_BYTES } from '../../src/sandbox/traffic/udp-stream.ts';
import { inside, run } from './command.ts';

/** Packets of the traffic that one gateway sent another over the WAN, in whatever tunnel; probes and beats are smaller. */
export interface WireFlow {
  readonly from: string;
  readonly to: string;
  readonly packets: number;
}

const TABLE = 'fault-watch';

/** Counts packets of the traffic in tunnels, by sender and receiver, as they enter the WAN: before any fault may drop them. */
export async function watchWire(plan: SandboxPlan): Promise<void> {
  const lans = plan.clusters.map(({ lanCidr }) => `ip saddr ${lanCidr} ip daddr != ${lanCidr}`);
  const traffic = `ip protocol { udp, esp } ip length > ${DATAGRAM_BYTES}`;
  const rules = lans.map((lan) => `${lan} ${traffic} update @flows { ip saddr . ip daddr counter }`);
  const set = 'set flows { type ipv4_addr . ipv4_addr; size 4096; flags dynamic; counter; }';
  const chain = `chain entering { type filter hook prerouting priority -10\n${rules.join('\n')}\n}`;
  const script = `table bridge ${TABLE}\ndelete table bridge ${TABLE}\ntable bridge ${TABLE} {\n${set}\n${chain}\n}\n`;
  await run(inside(plan.wan.namespace, 'nft', '-f', '-'), { input: script });
}

function nodesByAddress(plan: SandboxPlan): ReadonlyMap<string, NodePlan> {
  return new Map(plan.clusters.flatMap(({ nodes }) => nodes.map((node) => [node.address, node] as const)));
}

/** What has been counted since the watch began. */
export async function readWire(plan: SandboxPlan): Promise<readonly WireFlow[]> {
  const listing = await run(inside(plan.wan.namespace, 'nft', 'list', 'set', 'bridge', TABLE, 'flows'));
  const names = nodesByAddress(plan);
  return [...listing.matchAll(/([\d.]+) \. ([\d.]+) counter packets (\d+)/g)].map(
    ([, from = '', to = '', packets]) => ({
      from: names.get(from)?.name ?? from,
      to: names.get(to)?.name ?? to,
      packets: Number(packets),
    }),
  );
}

/** What was sent between two readings. */
export function wireSince(before: readonly WireFlow[], now: readonly WireFlow[]): readonly WireFlow[] {
  return now
    .map(({ from, to, packets }) => {
      const earlier = before.find((flow) => flow.from === from && flow.to === to)?.packets ?? 0;
      return { from, to, packets: packets - earlier };
    })
    .filter(({ packets }) => packets > 0);
}

/** Through which node of its cluster a node sends what is for another cluster; itself when it has the cable. */
export type NextHops = Readonly<Record<string, string>>;

function hop(
  cluster: ClusterPlan,
  node: NodePlan,
  route: { readonly gateway?: string; readonly dev?: string },
): string {
  if (route.dev !== 'vx-submariner') return node.name;
  // The VTEP of a node has the last three bytes of its address.
  const tail = (route.gateway ?? '').split('.').slice(1).join('.');
  return cluster.nodes.find(({ address }) => address.endsWith(`.${tail}`))?.name ?? route.gateway ?? 'nobody';
}

/** The next hop of one node for one address of another cluster, as its kernel decides; `none` when it refuses. */
export async function nextHop(cluster: ClusterPlan, node: NodePlan, address: string): Promise<string> {
  const words = inside(
    node.namespace,
    'ip',
    '-j',
    'route',
    'get',
    address,
    'from',
    node.podCidr.replace(/\.0\/24$/, '.77'),
    'iif',
    'cni0',
  );
  try {
    const [route = {}] = JSON.parse(await run(words)) as readonly {
      readonly gateway?: string;
      readonly dev?: string;
    }[];
    return hop(cluster, node, route);
  } catch {
    return 'none';
  }
}
