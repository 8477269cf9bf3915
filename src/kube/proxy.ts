import { BlockList, isIP } from 'node:net';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy to reach a server through as the environment says (HTTPS_PROXY or HTTP_PROXY and NO_PROXY, either case),
 * read as Go's net/http and so kubectl reads it; undefined: none.
 */
export function proxyFor(server: string, env: Environment): string | undefined {
  if (!URL.canParse(server)) return undefined;
  const { protocol, hostname, port } = new URL(server);
  const secure = protocol === 'https:';
  const proxy = variable(env, secure ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  const host = hostname.replaceAll(/^\[|\]$/g, '').toLowerCase();
  if (proxy === '' || isLoopback(host)) return undefined;
  const exceptions = variable(env, 'NO_PROXY')
    .split(',')
    .map((entry) => entry.trim().toLowerCase());
  const at = { host, port: port || (secure ? '443' : '80') };
  if (exceptions.some((entry) => entry !== '' && isException(entry, at))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function variable(env: Environment, name: string): string {
  return (env[name] || env[name.toLowerCase()]) ?? '';
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || isWithin('127.0.0.0/8', host) || host === '::1';
}

/** An entry is `*`, a name (its subdomains too; only they with a dot in front), an address or a prefix; a port limits it. */
function isException(entry: string, { host, port }: { readonly host: string; readonly port: string }): boolean {
  if (entry === '*' || entry === host || isWithin(entry, host)) return true;
  const [, name = '', onlyPort = port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  return onlyPort === port && isOfDomain(host, name);
}

function isOfDomain(host: string, name: string): boolean {
  const domain = name.replace(/^\*?\./, '');
  return domain !== '' && (host.endsWith(`.${domain}`) || host === name);
}

function isWithin(prefix: string, host: string): boolean {
  const [network = '', length = ''] = prefix.split('/');
  const family = isIP(network);
  if (!/^\d+$/.test(length) || family === 0 || isIP(host) !== family) return false;
  if (Number(length) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(length), type);
  return list.check(host, type);
}
