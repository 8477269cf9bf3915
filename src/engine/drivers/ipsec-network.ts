import { cidrContains } from '../../net/cidr.ts';
import { IPSEC_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE, type AddressState, type LinkState, type NetworkState, type Ruleset } from '../../net/state.ts';
import { desiredCableRouting, ipv4Cidrs } from './cable-routes.ts';
import type { Cable, DesiredCables } from './driver.ts';
import { desiredGuard } from './guard.ts';
import { hostAddress } from './link-address.ts';

/** Where ESP happens, in charons or in the kernel, and behind which link of each slot. */
export interface EspPlace {
  readonly place: 'userland' | 'kernel';
  readonly links: ReadonlyMap<number, string>;
  readonly mtuBytes: number;
}

/** The interface id that the policies, the SAs and the xfrm link of a slot share. */
export function slotIfId(slot: number): number {
  return IPSEC_CABLE.ifId + slot;
}

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

function slotLink(esp: EspPlace, slot: number, name: string): LinkState {
  const common = { name, mtuBytes: esp.mtuBytes, up: true };
  return esp.place === 'kernel' ? { ...common, kind: 'xfrm', ifId: slotIfId(slot) } : { ...common, kind: 'tun' };
}

/** The guard of IPsec cables; undefined when nothing is guarded. */
export function ipsecGuard({ guardedCidrs }: DesiredCables, place: EspPlace['place']): Ruleset | undefined {
  return desiredGuard(guardedCidrs, IPSEC_CABLE.links, place === 'kernel' ? 'transformed' : 'never transformed');
}

/**
 * The node's network with these IPsec cables: tables 100 and 101, the guard and the links by slot. A slot whose link is
 * not known has no routes.
 */
export function desiredIpsecNetwork(desired: DesiredCables, esp: EspPlace, privateIp: string): NetworkState {
  const inKernel = esp.place === 'kernel';
  const ruleset = ipsecGuard(desired, esp.place);
  const links = [...esp.links];
  const cablesOf = (slot: number): readonly Cable[] => desired.cables.filter((cable) => cable.slot === slot);
  return {
    ...EMPTY_STATE,
    ...desiredCableRouting(desired, ({ slot }) => {
      const link = esp.links.get(slot);
      return link === undefined ? undefined : { link };
    }),
    ...(ruleset === undefined ? {} : { ruleset }),
    links: links.map(([slot, name]) => slotLink(esp, slot, name)),
    addresses: links.flatMap(([slot, link]) => [
      ...hostAddress(link, privateIp),
      ...(inKernel ? [] : selectorAddresses(cablesOf(slot), link, desired.cniAddress)),
    ]),
    sysctls: links.map(([, link]) => ({ key: `net.ipv4.conf.${link}.rp_filter`, value: '2' })),
  };
}
