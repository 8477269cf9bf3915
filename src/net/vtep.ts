/**
 * The MAC address of a VXLAN link that has this IPv4 address: a locally administered one (IEEE 802) that ends in the
 * address, the same whenever the link is made anew. Else a node that restarts has another MAC than its peers remember,
 * and they send into the void until they ask again, some eight seconds.
 */
export function vtepMac(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['02', '53', ...octets].join(':');
}

/** The address of a node inside the overlay: 240 and the last three octets of its address (as upstream has it). */
export function overlayAddress(nodeAddress: string): string {
  return `240.${nodeAddress.split('.').slice(1).join('.')}`;
}
