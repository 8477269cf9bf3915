import { cidrContains, parseCidr } from '../net/cidr.ts';
import type { Environment } from '../runtime/process.ts';

/** The proxy to reach an https server through, as HTTPS_PROXY and NO_PROXY say (either case); undefined: none. */
export function proxyOf(server: string, env: Environment): string | undefined {
  const proxy = (env['HTTPS_PROXY'] || env['https_proxy']) ?? '';
  if (proxy === '' || !URL.canParse(server)) return undefined;
  const exceptions = ((env['NO_PROXY'] || env['no_proxy']) ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  const { hostname, port } = new URL(server);
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  return exceptions.some((entry) => entry !== '' && isException(entry, host, port || '443')) ? undefined : proxy;
}

/** An entry is `*`, a name (its subdomains too), an address or a prefix; a port after a name limits it to that port. */
function isException(entry: string, host: string, port: string): boolean {
  if (entry === '*' || entry === host) return true;
  if (parseCidr(entry) !== undefined) return cidrContains(entry, host);
  const [name = '', onlyPort] = entry.split(':');
  if (onlyPort !== undefined && onlyPort !== port) return false;
  const domain = name.replace(/^\*?\./, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}
