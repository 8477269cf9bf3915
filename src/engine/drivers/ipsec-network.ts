import { cidrContains } from '../../net/cidr.ts';
import { IPSEC_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE, type AddressState, type NetworkState } from '../../net/state.ts';
import { desiredCableRouting, ipv4Cidrs, type Exit } from './cable-routes.ts';
import type { Cable, DesiredCables } from './driver.ts';
import { desiredGuard } from './guard.ts';
import { hostAddress } from './link-address.ts';

/** Where ESP happens: in charons, each behind a tun link, or in the kernel, on the way out of the underlay. */
export type EspPlace =
  | { readonly place: 'userland'; readonly links: ReadonlyMap<number, string>; readonly mtuBytes: number }
  | { readonly place: 'kernel'; readonly firstHops: ReadonlyMap<string, Exit> };

/**
 * kernel-libipsec refuses a local CIDR in which the node has no address. The network address of a prefix belongs to
 * nobody, so the tun link gets it where the pod network's own address does not do.
 */
function selectorAddresses(
  cables: readonly Cable[],
  link: string,
  cniAddress: string | undefined,
): readonly AddressState[] {
  const locals = ipv4Cidrs(cables.flatMap((cable) => cable.localSubnets));
  const covered = (cidr: string): boolean => cniAddress !== undefined && cidrContains(cidr, cniAddress);
  return locals.filter((cidr) => !covered(cidr)).map((cidr) => ({ link, address: `${cidr.split('/')[0] ?? ''}/32` }));
}

/**
 * The node's network with these IPsec cables: tables 100 and 101, the guard and, for userland ESP, the tun links by
 * slot. A slot whose link is not known has no routes.
 */
export function desiredIpsecNetwork(desired: DesiredCables, esp: EspPlace, privateIp: string): NetworkState {
  const ruleset = desiredGuard(desired.guardedCidrs, esp.place === 'kernel' ? 'kernel-esp' : IPSEC_CABLE.links);
  const exitOf = (cable: Cable): Exit | undefined => {
    if (esp.place === 'kernel') return esp.firstHops.get(cable.usingIp);
    const link = esp.links.get(cable.slot);
    return link === undefined ? undefined : { link };
  };
  const common = {
    ...EMPTY_STATE,
    ...desiredCableRouting(desired, exitOf),
    ...(ruleset === undefined ? {} : { ruleset }),
  };
  if (esp.place === 'kernel') return common;
  const links = [...esp.links];
  return {
    ...common,
    links: links.map(([, name]) => ({ name, kind: 'tun', mtuBytes: esp.mtuBytes, up: true })),
    addresses: links.flatMap(([slot, link]) => [
      ...hostAddress(link, privateIp),
      ...selectorAddresses(
        desired.cables.filter((cable) => cable.slot === slot),
        link,
        desired.cniAddress,
      ),
    ]),
    sysctls: links.map(([, link]) => ({ key: `net.ipv4.conf.${link}.rp_filter`, value: '2' })),
  };
}
