import { ENGINE_OWNERSHIP, OVERLAY } from '../../net/ownership.ts';
import type { NftChain, NftSet, SysctlState } from '../../net/state.ts';
import type { Inputs } from '../model.ts';

/** Before every other source NAT (100): a binding made here is final, later MASQUERADE rules are not consulted. */
const BEFORE_SOURCE_NAT = 95;

function linkSysctl(link: string, name: string, value: string): SysctlState {
  return { key: `net.ipv4.conf.${link.replaceAll('.', '/')}.${name}`, value };
}

/**
 * Forwarding on; sources checked loosely where the two directions of a connection may take different links: the
 * overlay, the CNI's link, and other links of the pod network that check strictly.
 */
export function desiredSysctls(inputs: Inputs): readonly SysctlState[] {
  const { cni, strictLinks } = inputs.host;
  const loose = new Set([OVERLAY.link, ...(cni === undefined ? [] : [cni.link]), ...strictLinks]);
  return [
    { key: 'net.ipv4.ip_forward', value: '1' },
    linkSysctl(OVERLAY.link, 'forwarding', '1'),
    ...[...loose].map((link) => linkSysctl(link, 'rp_filter', '2')),
  ];
}

/** The CIDRs and addresses that the rules speak of. */
export function desiredSets(inputs: Inputs): readonly NftSet[] {
  const cidrs = (name: string, elements: readonly string[]): NftSet => ({
    name,
    type: 'ipv4_addr',
    interval: true,
    elements,
  });
  return [
    cidrs('local', inputs.localCidrs),
    cidrs('remote', inputs.remoteCidrs),
    { name: 'nodes', type: 'ipv4_addr', interval: false, elements: inputs.nodeAddresses },
  ];
}

/**
 * - overlay packets only from nodes of the cluster (forwarded packets need no rule: an `accept` of ours would end only our
 *   own chain, and another table may still drop them);
 * - both directions keep their source address: translated to itself before the CNI or kube-proxy can masquerade it;
 * - what a node sends itself (overlay address, or bound to a node address) through the overlay or a cable gets the node's
 *   address in the pod network.
 */
export function desiredForwarding(inputs: Inputs): readonly NftChain[] {
  const { cni } = inputs.host;
  const outward = 'ip saddr @local ip daddr @remote';
  const inward = 'ip saddr @remote ip daddr @local';
  const wayOut = [OVERLAY.link, ...ENGINE_OWNERSHIP.links].map((link) => `"${link}"`).join(', ');
  const ownSource = `oifname { ${wayOut} } ip daddr @remote`;
  return [
    {
      name: 'input',
      hook: { type: 'filter', hook: 'input', priority: 0 },
      rules: [`udp dport ${OVERLAY.udpPort} ip saddr != @nodes drop comment "overlay packets of strangers"`],
    },
    {
      name: 'source',
      hook: { type: 'nat', hook: 'postrouting', priority: BEFORE_SOURCE_NAT },
      rules: [
        `${outward} snat ip to ip saddr comment "keeps pod addresses"`,
        `${inward} snat ip to ip saddr comment "keeps remote pod addresses"`,
        ...(cni === undefined ? [] : [`${ownSource} snat ip to ${cni.address} comment "the node's own packets"`]),
      ],
    },
  ];
}
