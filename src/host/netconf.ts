import type { SysctlState } from '../net/state.ts';
import { parseJsonList } from './ip.ts';

/** What to ask `ip` for the IPv4 settings of all links; one of a batch costs less than starting `sysctl`. */
export const NETCONF_QUESTION = ['netconf', 'show'] as const;

const RP_FILTER: Readonly<Record<string, string>> = { off: '0', strict: '1', loose: '2' };

function settingsOf(item: Readonly<Record<string, unknown>>): readonly SysctlState[] {
  const { family, interface: link, forwarding, rp_filter: filter } = item;
  if (family !== 'inet' || typeof link !== 'string') return [];
  const conf = `net.ipv4.conf.${link.replaceAll('.', '/')}`;
  const settings: SysctlState[] = [];
  if (typeof forwarding === 'boolean') {
    const value = forwarding ? '1' : '0';
    settings.push({ key: `${conf}.forwarding`, value });
    if (link === 'all') settings.push({ key: 'net.ipv4.ip_forward', value });
  }
  const value = RP_FILTER[String(filter)];
  if (value !== undefined) settings.push({ key: `${conf}.rp_filter`, value });
  return settings;
}

/** Reads `ip -j netconf show`: forwarding and reverse path filter of every link, of `all` and of `default`, as sysctls. */
export function parseNetconf(output: string): ReadonlyMap<string, string> {
  const settings = parseJsonList(output, 'ip -j netconf show').flatMap(settingsOf);
  return new Map(settings.map(({ key, value }) => [key, value]));
}
