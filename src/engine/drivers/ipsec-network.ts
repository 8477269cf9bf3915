import { cidrContains } from '../../net/cidr.ts';
import { EMPTY_STATE, type AddressState, type NetworkState } from '../../net/state.ts';
import { desiredCableRouting, ipv4Cidrs, type Exit } from './cable-routes.ts';
import type { DesiredCables } from './driver.ts';
import { desiredGuard } from './guard.ts';

/** Where ESP happens: in charon, behind a tun link, or in the kernel, on the way out of the underlay. */
export type EspPlace =
  | { readonly place: 'userland'; readonly link: string; readonly mtuBytes: number }
  | { readonly place: 'kernel'; readonly firstHops: ReadonlyMap<string, Exit> };

/**
 * kernel-libipsec refuses a local CIDR in which the node has no address. The network address of a prefix belongs to
 * nobody, so the tun link gets it where the pod network's own address does not do.
 */
function selectorAddresses(desired: DesiredCables, link: string): readonly AddressState[] {
  const locals = ipv4Cidrs(desired.cables.flatMap((cable) => cable.localSubnets));
  const covered = (cidr: string): boolean => desired.cniAddress !== undefined && cidrContains(cidr, desired.cniAddress);
  return locals.filter((cidr) => !covered(cidr)).map((cidr) => ({ link, address: `${cidr.split('/')[0] ?? ''}/32` }));
}

/** The node's network with these IPsec cables: table 100, the guard and, for userland ESP, the tun link of charon. */
export function desiredIpsecNetwork(desired: DesiredCables, esp: EspPlace): NetworkState {
  const ruleset = desiredGuard(desired.guardedCidrs, esp.place === 'kernel' ? 'kernel-esp' : [esp.link]);
  const routing = desiredCableRouting(desired, (cable) =>
    esp.place === 'kernel' ? esp.firstHops.get(cable.usingIp) : { link: esp.link },
  );
  const common = {
    ...EMPTY_STATE,
    ...routing,
    ...(ruleset === undefined ? {} : { ruleset }),
  };
  if (esp.place === 'kernel') return common;
  return {
    ...common,
    links: [{ name: esp.link, kind: 'tun', mtuBytes: esp.mtuBytes, up: true }],
    addresses: selectorAddresses(desired, esp.link),
    sysctls: [{ key: `net.ipv4.conf.${esp.link}.rp_filter`, value: '2' }],
  };
}
