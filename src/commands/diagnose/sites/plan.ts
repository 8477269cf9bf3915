import { GATEWAY_CONFIG_PREFIX, NAT_DISCOVERY_PORT, TUNNEL_PORT } from '../../../api/names.ts';
import type { Submariner } from '../../../api/types.ts';
import { cidrContains } from '../../../net/cidr.ts';
import type { NodeLink } from '../../../net/nodenetwork.ts';
import type { MeetSend } from '../../../host/prober/protocol.ts';
import type { Node } from '../../../kube/objects.ts';
import { messageOf } from '../../../runtime/errors.ts';
import { cableDriverName } from '../../join/configuration.ts';
import { planGatewayNodes } from '../../join/gatewaynodes.ts';
import type { Shot } from '../shots/model.ts';
import type { DriverName, Site, SiteNode } from './model.ts';

/** What the flags say of a join to come. */
export interface SiteWishes {
  readonly gatewayNodes: readonly string[];
  readonly nattport: number | undefined;
  readonly cableDriver: string | undefined;
}

const DRIVERS: Readonly<Record<string, DriverName>> = { libreswan: 'ipsec', wireguard: 'wireguard', vxlan: 'vxlan' };

/** The driver of --cable-driver, else of an earlier join, else the default. Throws UsageError for an unknown one. */
export function driverOf({ cableDriver }: SiteWishes, submariner: Submariner | undefined): DriverName {
  return DRIVERS[cableDriverName(cableDriver ?? submariner?.spec.cableDriver ?? 'libreswan')] ?? 'ipsec';
}

/** Nodes that are gateways or would become ones, by the rule of join. */
function chosen(
  nodes: readonly Node[],
  { gatewayNodes }: SiteWishes,
): Pick<Site, 'note' | 'problem'> & { names: readonly string[] } {
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  const named = gatewayNodes.filter((name) => known.has(name));
  if (named.length > 0) return { names: named, note: '', problem: '' };
  try {
    const plan = planGatewayNodes(nodes, { named: [], count: undefined, mayLabel: true });
    if (plan.kind === 'settled') return { names: [...plan.already, ...plan.label], note: '', problem: '' };
    const [first = ''] = plan.candidates;
    return {
      names: [first],
      note: `others could be, too: choose of ${plan.candidates.join(', ')} with --gateway-nodes`,
      problem: '',
    };
  } catch (error) {
    return { names: [], note: '', problem: messageOf(error) };
  }
}

function addressesOf({ status, metadata }: Node): readonly string[] {
  const announced = /^ipv4:(.+)$/.exec(metadata.annotations?.[`${GATEWAY_CONFIG_PREFIX}public-ip`] ?? '')?.[1];
  const byType = (wanted: string): readonly string[] =>
    (status?.addresses ?? []).filter(({ type }) => type === wanted).map(({ address }) => address);
  const all = [...byType('InternalIP').slice(0, 1), ...(announced === undefined ? byType('ExternalIP') : [announced])];
  return [...new Set(all)].filter((address) => !address.includes(':'));
}

function portsOf({ metadata }: Node, nattport: number): SiteNode['ports'] {
  const read = (key: string, initial: number): number => {
    const name = `${GATEWAY_CONFIG_PREFIX}${key}`;
    const value = Number(metadata.annotations?.[name] ?? metadata.labels?.[name]);
    return Number.isInteger(value) && value > 0 && value < 65_536 ? value : initial;
  };
  const tunnel = read('udp-port', nattport);
  return { tunnel, standby: tunnel + 1, natDiscovery: read('natt-discovery-port', NAT_DISCOVERY_PORT) };
}

/** A cluster as join would find it. */
export function planSite(
  cluster: {
    readonly clusterId: string;
    readonly submariner: Submariner | undefined;
    readonly nodes: readonly Node[];
    readonly podCidrs: readonly string[];
    readonly running: boolean;
  },
  wishes: SiteWishes,
): Site {
  const { clusterId, submariner, nodes, podCidrs, running } = cluster;
  const { names, note, problem } = chosen(nodes, wishes);
  const nattport = wishes.nattport ?? submariner?.spec.ceIPSecNATTPort ?? TUNNEL_PORT;
  const gateways = nodes
    .filter(({ metadata }) => names.includes(metadata.name ?? ''))
    .map((node) => ({
      cluster: clusterId,
      name: node.metadata.name ?? '',
      addresses: addressesOf(node),
      ports: portsOf(node, nattport),
    }));
  return { clusterId, driver: driverOf(wishes, submariner), podCidrs, gateways, note, problem, running };
}

/** Sizes that packets of ours on these ports do not have; each way has its own. */
const FIRST_BYTES = 201;

/** A way that is to be tried; `number` names it at both ends. */
export interface PlannedWay {
  readonly number: number;
  readonly shot: Shot;
  /** The port from which it starts. */
  readonly local: number;
  readonly optional: boolean;
}

type Draft = Omit<Shot, 'id' | 'bytes'> & Pick<PlannedWay, 'optional' | 'local'>;

function waysBetween(
  a: SiteNode,
  b: SiteNode,
  sites: { readonly needsStandby: boolean; readonly isVxlan: boolean },
): readonly Draft[] {
  const purposes = [
    { purpose: 'tunnel', port: b.ports.tunnel, local: a.ports.tunnel, optional: false },
    ...(sites.isVxlan
      ? []
      : [
          {
            purpose: 'standby tunnel',
            port: b.ports.standby,
            local: a.ports.standby,
            optional: !sites.needsStandby,
          } as const,
        ]),
    { purpose: 'NAT discovery', port: b.ports.natDiscovery, local: a.ports.natDiscovery, optional: false },
  ] as const;
  return purposes.flatMap(({ purpose, port, local, optional }) =>
    b.addresses.map((address) => ({
      purpose,
      port,
      local,
      optional,
      from: { cluster: a.cluster, node: a.name, address: a.addresses[0] ?? '' },
      to: { cluster: b.cluster, node: b.name, address },
    })),
  );
}

/** Every gateway to every gateway of the other clusters, on each port, at each address. */
export function planWays(sites: readonly Site[]): readonly PlannedWay[] {
  const drafts = sites.flatMap((a) =>
    sites
      .filter((b) => b !== a && !a.running && !b.running)
      .flatMap((b) => {
        const about = {
          needsStandby: a.gateways.length > 1 || b.gateways.length > 1,
          isVxlan: a.driver === 'vxlan' && b.driver === 'vxlan',
        };
        return a.gateways.flatMap((from) => b.gateways.flatMap((to) => waysBetween(from, to, about)));
      }),
  );
  return drafts.map(({ optional, local, ...draft }, number) => ({
    number,
    optional,
    local,
    shot: { ...draft, id: `w${number}`, bytes: FIRST_BYTES + number },
  }));
}

/** What a gateway sends. */
export function sendsOf(ways: readonly PlannedWay[], { cluster, name }: SiteNode): readonly MeetSend[] {
  return ways
    .filter(({ shot: { from } }) => from.cluster === cluster && from.node === name)
    .map(({ number, local, shot: { port, to, bytes } }) => ({ way: number, local, port, address: to.address, bytes }));
}

/** The smallest MTU of the links with addresses of pods. */
export function podLinkBytes(links: readonly NodeLink[], podCidrs: readonly string[]): number | undefined {
  const isOfPods = (text: string): boolean => {
    const address = text.split('/')[0] ?? '';
    return !address.includes(':') && podCidrs.some((cidr) => cidrContains(cidr, address));
  };
  const sizes = links.filter(({ addresses }) => addresses.some(isOfPods)).map(({ mtuBytes }) => mtuBytes);
  return sizes.length === 0 ? undefined : Math.min(...sizes);
}
