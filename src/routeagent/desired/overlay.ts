import { OVERLAY } from '../../net/ownership.ts';
import type { AddressState, LinkState, NeighbourState } from '../../net/state.ts';
import { overlayAddress, vtepMac } from '../../net/vtep.ts';
import type { Inputs } from '../model.ts';

/** Bytes that VXLAN over IPv4 adds to a packet. */
const VXLAN_OVERHEAD_BYTES = 50;
/** FDB entries for this address match every packet without an entry of its own. */
const ANY_MAC = '00:00:00:00:00:00';

function otherNodes({ nodeAddresses, host }: Inputs): readonly string[] {
  return [...new Set(nodeAddresses)].filter((address) => address !== host.underlay.address);
}

/** Who gets packets whose VTEP is not known yet, ARP requests that is. */
function floodPeers(inputs: Inputs): readonly string[] {
  const { gateway } = inputs;
  if (gateway.role === 'worker') return [gateway.address];
  return gateway.role === 'gateway' ? otherNodes(inputs) : [];
}

/**
 * A node that may become the gateway knows the VTEPs of all nodes by their MAC addresses before it is it: the first nodes
 * to switch ask for its address, and an answer that does not reach them costs a second.
 */
function directPeers(inputs: Inputs): readonly NeighbourState[] {
  if (!inputs.mayBeGateway && inputs.gateway.role !== 'gateway') return [];
  return otherNodes(inputs).map((remote) => ({ link: OVERLAY.link, mac: vtepMac(overlayAddress(remote)), remote }));
}

/** The overlay link of this node, its address and the VTEPs it sends to: the gateway, or on the gateway all nodes. */
export function desiredOverlay(inputs: Inputs): {
  readonly links: readonly LinkState[];
  readonly addresses: readonly AddressState[];
  readonly neighbours: readonly NeighbourState[];
} {
  const { underlay } = inputs.host;
  const link: LinkState = {
    name: OVERLAY.link,
    kind: 'vxlan',
    mtuBytes: underlay.mtuBytes - VXLAN_OVERHEAD_BYTES,
    up: true,
    mac: vtepMac(overlayAddress(underlay.address)),
    vxlan: { vni: OVERLAY.vni, udpPort: OVERLAY.udpPort, local: underlay.address, learning: false },
  };
  const prefixLength = OVERLAY.vtepPrefix.split('/')[1] ?? '8';
  return {
    links: [link],
    addresses: [{ link: OVERLAY.link, address: `${overlayAddress(underlay.address)}/${prefixLength}` }],
    neighbours: [
      ...floodPeers(inputs).map((remote) => ({ link: OVERLAY.link, mac: ANY_MAC, remote })),
      ...directPeers(inputs),
    ],
  };
}
