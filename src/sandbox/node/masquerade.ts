/** nft table of the CNI, family ip. */
const MASQUERADE_TABLE = 'sandbox-cni';

/**
 * The script that masquerades as flannel does (its rules in nft's words): what leaves the pod CIDR of the cluster, and
 * what comes into it from outside unless it is for this node's own pods. Replaces the table in one transaction.
 */
export function masqueradeScript(options: { readonly clusterPodCidr: string; readonly podCidr: string }): string {
  const { clusterPodCidr, podCidr } = options;
  return `table ip ${MASQUERADE_TABLE}
delete table ip ${MASQUERADE_TABLE}
table ip ${MASQUERADE_TABLE} {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${podCidr} ip daddr ${clusterPodCidr} return
    ip saddr ${clusterPodCidr} ip daddr ${podCidr} return
    ip saddr != ${clusterPodCidr} ip daddr ${podCidr} return
    ip saddr ${clusterPodCidr} ip daddr != 224.0.0.0/4 masquerade fully-random
    ip saddr != ${clusterPodCidr} ip daddr ${clusterPodCidr} masquerade fully-random
  }
}
`;
}
