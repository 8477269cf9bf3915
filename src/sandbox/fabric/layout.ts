import { vtepMac } from '../../net/vtep.ts';
import { LAN_LINK, WAN_LINK, plannedNamespaces, type NodePlan, type SandboxPlan } from '../plan.ts';

/** What is done inside one network namespace: lines for `ip -batch`, then settings for `sysctl -w`. */
export interface NamespaceLayout {
  readonly namespace: string;
  readonly lines: readonly string[];
  readonly sysctls: readonly string[];
}

/** The bridge of a node its pods are attached to. */
export const POD_BRIDGE = 'cni0';

function uplinkLine(plan: SandboxPlan, node: NodePlan): string {
  return veth(plan.wan.namespace, node.port, node.namespace, node.uplink);
}

/** Both ends are born where they belong, so that the host's own namespace never sees them. */
function veth(namespace: string, name: string, peerNamespace: string, peer: string): string {
  return `link add name ${name} netns ${namespace} type veth peer name ${peer} netns ${peerNamespace}`;
}

/**
 * The line that makes a bridge which is a router with this address. Its MAC address is its own: a bridge without one takes
 * that of a port, another one whenever ports come and go, and its neighbours send into the void for a while.
 */
function bridgeLine(name: string, router: string, namespace?: string): string {
  const place = namespace === undefined ? '' : ` netns ${namespace}`;
  return `link add name ${name} address ${vtepMac(router)}${place} type bridge`;
}

/** Lines of `ip -batch`, run outside, that make every namespace and every link between two of them. */
export function creationLines(plan: SandboxPlan): readonly string[] {
  const { namespace, bridge } = plan.wan;
  return [
    ...plannedNamespaces(plan).map((name) => `netns add ${name}`),
    bridgeLine(bridge, plan.wan.router, namespace),
    ...plan.clusters.map((cluster) => bridgeLine(cluster.bridge, cluster.router, namespace)),
    ...plan.clusters.flatMap(({ controlPlane, nodes }) => [
      veth(namespace, controlPlane.lanPort, controlPlane.namespace, LAN_LINK),
      veth(namespace, controlPlane.wanPort, controlPlane.namespace, WAN_LINK),
      ...nodes.map((node) => uplinkLine(plan, node)),
    ]),
  ];
}

/** Lines of `ip -batch`, run outside, that make one node anew. */
export function nodeCreationLines(plan: SandboxPlan, node: NodePlan): readonly string[] {
  return [`netns add ${node.namespace}`, uplinkLine(plan, node)];
}

function up(link: string, address?: string): readonly string[] {
  return [...(address === undefined ? [] : [`address add ${address} dev ${link}`]), `link set dev ${link} up`];
}

function prefixed(address: string, cidr: string): string {
  return `${address}/${cidr.slice(cidr.indexOf('/') + 1)}`;
}

/** The line that attaches a node's uplink to the LAN of its cluster, in the WAN namespace. */
export function portLine(bridge: string, port: string): string {
  return `link set dev ${port} master ${bridge} up`;
}

function wanLayout(plan: SandboxPlan): NamespaceLayout {
  const { namespace, bridge, router, cidr } = plan.wan;
  return {
    namespace,
    lines: [
      ...up('lo'),
      ...up(bridge, prefixed(router, cidr)),
      ...plan.clusters.flatMap((cluster) => [
        ...up(cluster.bridge, prefixed(cluster.router, cluster.lanCidr)),
        portLine(cluster.bridge, cluster.controlPlane.lanPort),
        portLine(bridge, cluster.controlPlane.wanPort),
        ...cluster.nodes.map((node) => portLine(cluster.bridge, node.port)),
      ]),
    ],
    sysctls: [
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=0',
      'net.ipv4.conf.all.send_redirects=0',
    ],
  };
}

/** A node as an installer leaves it: forwarding, loose reverse-path filter as systemd sets it, a bridge for its pods. */
export function nodeLayout(node: NodePlan, router: string): NamespaceLayout {
  return {
    namespace: node.namespace,
    lines: [
      ...up('lo'),
      ...up(node.uplink, `${node.address}/24`),
      `route add default via ${router} dev ${node.uplink}`,
      bridgeLine(POD_BRIDGE, node.podGateway),
      ...up(POD_BRIDGE, prefixed(node.podGateway, node.podCidr)),
    ],
    sysctls: [
      'net.ipv4.ip_forward=1',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv4.conf.default.rp_filter=2',
      `net.ipv4.conf.${node.uplink}.rp_filter=2`,
      'net.ipv4.conf.all.send_redirects=0',
      `net.ipv4.conf.${POD_BRIDGE}.send_redirects=0`,
    ],
  };
}

/** What is to be done inside each namespace of the plan. */
export function layouts(plan: SandboxPlan): readonly NamespaceLayout[] {
  return [
    wanLayout(plan),
    ...plan.clusters.flatMap(({ controlPlane, lanCidr, router, nodes }) => [
      {
        namespace: controlPlane.namespace,
        lines: [
          ...up('lo'),
          ...up(LAN_LINK, prefixed(controlPlane.lanAddress, lanCidr)),
          ...up(WAN_LINK, prefixed(controlPlane.wanAddress, plan.wan.cidr)),
          `route add default via ${plan.wan.router} dev ${WAN_LINK}`,
        ],
        sysctls: ['net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0'],
      },
      ...nodes.map((node) => nodeLayout(node, router)),
    ]),
  ];
}
