import { VXLAN_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE, type NeighbourState, type NetworkState } from '../../net/state.ts';
import { vtepMac } from '../../net/vtep.ts';
import { desiredCableRouting } from './cable-routes.ts';
import type { Cable, DesiredCables } from './driver.ts';
import { linkAddress } from './link-address.ts';

/** The link that carries tunnel packets, as far as drivers need to know it. */
export interface Underlay {
  readonly link: string;
  readonly mtuBytes: number;
}

/** Bytes that IPv4, UDP, VXLAN and the inner Ethernet header take from a packet. */
const VXLAN_OVERHEAD_BYTES = 50;
const VTEP_METRIC = 100;
/**
 * Between two ARP requests for a remote VTEP: the first may be sent before the other gateway has its end of the cable. A
 * whole number of ticks at each usual HZ (100, 250, 300, 1000), else the kernel rounds it and it is never as wanted.
 */
const ARP_RETRY_MS = 200;

/** Why cables cannot be made, by cable name: an address that is no IPv4, or a VTEP address another gateway has. */
export function vtepProblems(cables: readonly Cable[], localPrivateIp: string): ReadonlyMap<string, string> {
  const owners = new Map([[linkAddress(localPrivateIp), `this gateway (${localPrivateIp})`]]);
  const problems = new Map<string, string>();
  for (const cable of cables.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const vtep = linkAddress(cable.remotePrivateIp);
    const owner = owners.get(vtep);
    if (vtep === undefined) problems.set(cable.name, `private IP ${cable.remotePrivateIp} is not an IPv4 address`);
    else if (owner !== undefined) {
      problems.set(
        cable.name,
        `VTEP address ${vtep} of ${cable.remotePrivateIp} is also that of ${owner}: the last three octets of the ` +
          'private addresses of all gateways must differ with cable driver vxlan',
      );
    } else owners.set(vtep, `cluster ${cable.remoteClusterId} (${cable.remotePrivateIp})`);
  }
  return problems;
}

/**
 * Where frames for a remote gateway go. Its own entry keeps them from all others: what only matches the flood entries is
 * copied to every one of them. Those are for ARP, and for gateways run by upstream, whose links have a random MAC.
 */
function neighboursOf({ remotePrivateIp, usingIp }: Cable): readonly NeighbourState[] {
  const { link } = VXLAN_CABLE;
  const vtep = linkAddress(remotePrivateIp);
  return [
    { link, mac: '00:00:00:00:00:00', remote: usingIp },
    ...(vtep === undefined ? [] : [{ link, mac: vtepMac(vtep), remote: usingIp }]),
  ];
}

/**
 * The VXLAN cable of this gateway: link, VTEP address, where frames for each remote gateway go, table 100. Without cables
 * there is nothing. Cables with problems are left out.
 */
export function desiredVxlan(
  desired: DesiredCables,
  local: { readonly privateIp: string; readonly udpPort: number; readonly underlay: Underlay },
): NetworkState {
  const { link, vni } = VXLAN_CABLE;
  const problems = vtepProblems(desired.cables, local.privateIp);
  const cables = desired.cables.filter((cable) => !problems.has(cable.name));
  const vtep = linkAddress(local.privateIp);
  if (cables.length === 0 || vtep === undefined) return EMPTY_STATE;
  const { privateIp, udpPort, underlay } = local;
  return {
    links: [
      {
        name: link,
        kind: 'vxlan',
        mtuBytes: underlay.mtuBytes - VXLAN_OVERHEAD_BYTES,
        up: true,
        mac: vtepMac(vtep),
        vxlan: { vni, udpPort, local: privateIp, device: underlay.link, learning: false },
      },
    ],
    addresses: [{ link, address: `${vtep}/8` }],
    neighbours: cables.flatMap((cable) => neighboursOf(cable)),
    ...desiredCableRouting({ ...desired, cables }, (cable) => {
      const via = linkAddress(cable.remotePrivateIp);
      return via === undefined ? undefined : { link, via, metric: VTEP_METRIC };
    }),
    sysctls: [
      { key: `net.ipv4.conf.${link}.rp_filter`, value: '2' },
      { key: `net.ipv4.conf.${link}.forwarding`, value: '1' },
      { key: `net.ipv4.neigh.${link}.retrans_time_ms`, value: String(ARP_RETRY_MS) },
    ],
  };
}
