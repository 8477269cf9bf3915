import { isIpAddress } from '../../net/cidr.ts';

/** The address of a gateway on the link of its cables: 241 and the last three octets of its private address. */
export function linkAddress(privateIp: string): string | undefined {
  if (!isIpAddress(privateIp) || privateIp.includes(':')) return undefined;
  return ['241', ...privateIp.split('.').slice(1)].join('.');
}

/**
 * What a tunnel link without addresses of its own gets. For a link with no address the kernel takes a loose rp_filter as
 * a strict one (fib_validate_source), and a standby's way back is not the cable a packet came by.
 */
export function hostAddress(
  link: string,
  privateIp: string,
): readonly { readonly link: string; readonly address: string }[] {
  const address = linkAddress(privateIp);
  return address === undefined ? [] : [{ link, address: `${address}/32` }];
}
