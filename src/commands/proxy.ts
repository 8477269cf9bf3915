import { cidrContains } from '../net/cidr.ts';

/** The proxy that HTTPS_PROXY (or https_proxy) names for a server, unless NO_PROXY exempts its host; undefined for none. */
export function proxyFor(server: string, env: Readonly<Record<string, string | undefined>>): string | undefined {
  const proxy = env['HTTPS_PROXY'] ?? env['https_proxy'];
  if (proxy === undefined || proxy === '' || !URL.canParse(server)) return undefined;
  const host = new URL(server).hostname.replace(/^\[|\]$/g, '');
  const exempt = (env['NO_PROXY'] ?? env['no_proxy'] ?? '').split(',').map((item) => item.trim());
  return exempt.some((item) => isExempt(host, item)) ? undefined : proxy;
}

/** NO_PROXY items: `*`, a host name (and its subdomains), `.domain`, an address, a CIDR. */
function isExempt(host: string, item: string): boolean {
  if (item === '') return false;
  if (item === '*' || item === host || cidrContains(item, host)) return true;
  const domain = item.replace(/^\*?\./, '');
  return host.endsWith(`.${domain}`);
}
