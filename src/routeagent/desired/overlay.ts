import { OVERLAY } from '../../net/ownership.ts';
import type { AddressState, LinkState, NeighbourState } from '../../net/state.ts';
import { vtepMac } from '../../net/vtep.ts';
import type { Inputs } from '../model.ts';

/** Bytes that VXLAN over IPv4 adds to a packet. */
const VXLAN_OVERHEAD_BYTES = 50;
/** FDB entries for this address match every packet without an entry of its own. */
const ANY_MAC = '00:00:00:00:00:00';

/** The address of a node inside the overlay: 240 and the last three octets of its address (as upstream has it). */
export function vtepAddress(nodeAddress: string): string {
  return `240.${nodeAddress.split('.').slice(1).join('.')}`;
}

function desiredPeers(inputs: Inputs): readonly string[] {
  const { gateway, host } = inputs;
  if (gateway.role === 'worker') return [gateway.address];
  if (gateway.role !== 'gateway') return [];
  return [...new Set(inputs.nodeAddresses)].filter((address) => address !== host.underlay.address);
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
    mac: vtepMac(vtepAddress(underlay.address)),
    vxlan: { vni: OVERLAY.vni, udpPort: OVERLAY.udpPort, local: underlay.address, learning: false },
  };
  const prefixLength = OVERLAY.vtepPrefix.split('/')[1] ?? '8';
  return {
    links: [link],
    addresses: [{ link: OVERLAY.link, address: `${vtepAddress(underlay.address)}/${prefixLength}` }],
    neighbours: desiredPeers(inputs).map((remote) => ({ link: OVERLAY.link, mac: ANY_MAC, remote })),
  };
}
