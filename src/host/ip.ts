import { ExpectedError } from '../runtime/errors.ts';
import type { AddressState, LinkState, NeighbourState, RouteState, RuleState } from '../net/state.ts';

/** The kernel's number of the main route table; it is shared, so routes in it are recognised by protocol. */
export const MAIN_TABLE = 254;

type Json = Readonly<Record<string, unknown>>;

/** One link as `ip -j -d addr show` prints it, any kind. */
export interface ObservedLink {
  readonly name: string;
  readonly index: number;
  /** `info_kind`; empty for a physical device. */
  readonly kind: string;
  readonly mtuBytes: number;
  readonly up: boolean;
  /** Of Ethernet links. */
  readonly mac?: string;
  /** IPv4 and IPv6 addresses with prefix length, link-local IPv6 left out. */
  readonly addresses: readonly string[];
  /** Of xfrm links. */
  readonly ifId?: number;
  readonly vxlan?: NonNullable<LinkState['vxlan']>;
}

/**
 * The JSON list a tool of iproute2 printed, objects only. The tools print nothing, or a lone `[`, when they have
 * nothing; anything else that is no list is refused, so that noise is never taken for an empty table.
 */
export function parseJsonList(text: string, source: string): readonly Json[] {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed === '[') return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(trimmed);
  } catch (cause) {
    throw new ExpectedError(`The output of \`${source}\` is not JSON: ${trimmed.slice(0, 80)}`, {
      hint: 'iproute2 4.18 or newer is needed',
      cause,
    });
  }
  if (!Array.isArray(parsed)) throw new ExpectedError(`The output of \`${source}\` is not a list`);
  return parsed.filter((item): item is Json => typeof item === 'object' && item !== null && !Array.isArray(item));
}

function text(item: Json, key: string): string | undefined {
  const value = item[key];
  return typeof value === 'string' ? value : undefined;
}

function integer(item: Json, key: string): number | undefined {
  const value = item[key];
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  return typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
}

function object(item: Json, key: string): Json {
  const value = item[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(item: Json, key: string): readonly unknown[] {
  const value = item[key];
  return Array.isArray(value) ? value : [];
}

function objects(item: Json, key: string): readonly Json[] {
  return list(item, key).filter((entry): entry is Json => typeof entry === 'object' && entry !== null);
}

/** Leaves out the keys whose value is undefined. */
function defined<T extends object>(value: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;
}

function parseVxlan(data: Json): ObservedLink['vxlan'] {
  return defined<NonNullable<LinkState['vxlan']>>({
    vni: integer(data, 'id') ?? 0,
    udpPort: integer(data, 'port') ?? 0,
    local: text(data, 'local') ?? '',
    device: text(data, 'link'),
    learning: data['learning'] === true,
  });
}

/** Printed in hexadecimal, as text. */
function parseIfId(data: Json): number {
  return Number.parseInt(text(data, 'if_id') ?? '0', 16);
}

function parseAddresses(item: Json): readonly string[] {
  return objects(item, 'addr_info')
    .filter((entry) => text(entry, 'local') !== undefined && !['link', '253'].includes(text(entry, 'scope') ?? ''))
    .map((entry) => `${text(entry, 'local') ?? ''}/${integer(entry, 'prefixlen') ?? 32}`);
}

/** Reads `ip -j -d addr show`. */
export function parseLinks(output: string): readonly ObservedLink[] {
  return parseJsonList(output, 'ip -j -d addr show').flatMap((item) => {
    const name = text(item, 'ifname');
    if (name === undefined) return [];
    const info = object(item, 'linkinfo');
    const kind = text(info, 'info_kind') ?? '';
    return [
      {
        name,
        index: integer(item, 'ifindex') ?? 0,
        kind,
        mtuBytes: integer(item, 'mtu') ?? 0,
        up: list(item, 'flags').includes('UP'),
        addresses: parseAddresses(item),
        ...(/^(?:[\da-f]{2}:){5}[\da-f]{2}$/.test(text(item, 'address') ?? '') ? { mac: text(item, 'address') } : {}),
        ...(kind === 'vxlan' ? { vxlan: parseVxlan(object(info, 'info_data')) } : {}),
        ...(kind === 'xfrm' ? { ifId: parseIfId(object(info, 'info_data')) } : {}),
      } as ObservedLink,
    ];
  });
}

const LINK_KINDS = ['vxlan', 'wireguard', 'xfrm', 'dummy', 'tun'] as const;

/** The link as the model has it; a kind the model does not know counts as `tun`, made by somebody's program. */
export function linkState(link: ObservedLink): LinkState {
  const kind = LINK_KINDS.find((name) => name === link.kind) ?? 'tun';
  const { name, mtuBytes, up, vxlan, mac, ifId } = link;
  if (vxlan === undefined) return { name, kind, mtuBytes, up, ...(ifId === undefined ? {} : { ifId }) };
  return { name, kind, mtuBytes, up, ...(mac === undefined ? {} : { mac }), vxlan };
}

/** The addresses of a link as the model has them. */
export function addressStates(link: ObservedLink): readonly AddressState[] {
  return link.addresses.map((address) => ({ link: link.name, address }));
}

/** Reads `bridge -j fdb show dev LINK`: entries somebody made (not learned ones) that name a remote VTEP. */
export function parseFdb(link: string, output: string): readonly NeighbourState[] {
  return parseJsonList(output, 'bridge -j fdb show').flatMap((item) => {
    const mac = text(item, 'mac');
    const remote = text(item, 'dst');
    const made = ['permanent', 'static'].includes(text(item, 'state') ?? '');
    return mac === undefined || remote === undefined || !made ? [] : [{ link, mac, remote }];
  });
}

const ROUTE_TYPES = new Map([
  ['1', 'unicast'],
  ['6', 'blackhole'],
  ['7', 'unreachable'],
] as const) as ReadonlyMap<string, NonNullable<RouteState['type']>>;
const ROUTE_SCOPES = new Map([
  ['0', 'global'],
  ['253', 'link'],
  ['254', 'host'],
] as const) as ReadonlyMap<string, NonNullable<RouteState['scope']>>;

function fullPrefix(destination: string): string {
  if (destination === 'default') return '0.0.0.0/0';
  return destination.includes('/') ? destination : `${destination}/32`;
}

/** Reads `ip -N -j route show table N`; routes of types the model does not know (local, broadcast) are left out. */
export function parseRoutes(table: number, output: string): readonly RouteState[] {
  return parseJsonList(output, 'ip -N -j route show').flatMap((item) => {
    const destination = text(item, 'dst');
    const type = ROUTE_TYPES.get(text(item, 'type') ?? '1');
    if (destination === undefined || type === undefined) return [];
    const mtuBytes = objects(item, 'metrics')
      .map((entry) => integer(entry, 'mtu'))
      .find((value) => value !== undefined);
    return [
      defined<RouteState>({
        destination: fullPrefix(destination),
        table,
        link: text(item, 'dev'),
        via: text(item, 'gateway'),
        source: text(item, 'prefsrc'),
        metric: integer(item, 'metric'),
        scope: ROUTE_SCOPES.get(text(item, 'scope') ?? '0'),
        type: type === 'unicast' ? undefined : type,
        mtuBytes,
        onlink: list(item, 'flags').includes('onlink') ? true : undefined,
      }),
    ];
  });
}

function selector(item: Json, key: 'src' | 'dst'): string | undefined {
  const address = text(item, key);
  if (address === undefined || address === 'all') return undefined;
  return `${address}/${integer(item, `${key}len`) ?? (address.includes(':') ? 128 : 32)}`;
}

/** Reads `ip -N -j rule show`: rules that look up a table. */
export function parseRules(output: string): readonly RuleState[] {
  return parseJsonList(output, 'ip -N -j rule show').flatMap((item) => {
    const priority = integer(item, 'priority');
    const table = integer(item, 'table');
    if (priority === undefined || table === undefined) return [];
    const mark = text(item, 'fwmark');
    const mask = text(item, 'fwmask');
    return [
      defined<RuleState>({
        priority,
        table,
        from: selector(item, 'src'),
        to: selector(item, 'dst'),
        fwmark: mark === undefined || mask === undefined ? mark : `${mark}/${mask}`,
        incomingLink: text(item, 'iif'),
      }),
    ];
  });
}

/** Words of `ip link add` for a link that the kernel can make; undefined for one that a program makes (tun). */
export function linkAddWords(link: LinkState): readonly string[] | undefined {
  if (link.kind === 'tun') return undefined;
  const mac = words([['address', link.mac]]);
  const base = ['link', 'add', link.name, ...mac, 'mtu', String(link.mtuBytes), 'type', link.kind];
  if (link.ifId !== undefined) return [...base, 'if_id', String(link.ifId)];
  if (link.vxlan === undefined) return base;
  const { vni, udpPort, local, device, learning } = link.vxlan;
  const underlay = device === undefined ? [] : ['dev', device];
  const learn = learning ? 'learning' : 'nolearning';
  return [...base, 'id', String(vni), 'dstport', String(udpPort), 'local', local, ...underlay, learn];
}

function words(pairs: readonly (readonly [string, string | number | undefined])[]): readonly string[] {
  return pairs.flatMap(([word, value]) => (value === undefined ? [] : [word, String(value)]));
}

/**
 * Words of `ip route VERB` for a route of the owner with this protocol number. Removal from the main table names the
 * protocol too, so that it can never hit another owner's route.
 */
export function routeWords(verb: 'add' | 'replace' | 'del', route: RouteState, protocol: number): readonly string[] {
  const removal = verb === 'del';
  const type = route.type === undefined || route.type === 'unicast' ? [] : [route.type];
  const key = words([
    ['via', route.via],
    ['dev', route.link],
    ['table', route.table],
    ['metric', route.metric],
    ['proto', removal && route.table !== MAIN_TABLE ? undefined : protocol],
  ]);
  const more = words([
    ['src', route.source],
    ['scope', route.scope],
    ['mtu', route.mtuBytes],
  ]);
  const flags = route.onlink === true ? ['onlink'] : [];
  return ['route', verb, ...type, route.destination, ...key, ...(removal ? [] : [...more, ...flags])];
}

/** Words of `ip rule VERB`. */
export function ruleWords(verb: 'add' | 'del', rule: RuleState, protocol: number): readonly string[] {
  const selectors = words([
    ['pref', rule.priority],
    ['from', rule.from],
    ['to', rule.to],
    ['fwmark', rule.fwmark],
    ['iif', rule.incomingLink],
    ['lookup', rule.table],
    ['protocol', verb === 'add' ? protocol : undefined],
  ]);
  return ['rule', verb, ...selectors];
}
