import ipaddr from 'ipaddr.js';

/** A parsed prefix; `base` is the network address (host bits masked away) as a number. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly prefixLength: number;
}

interface Parsed {
  readonly family: 4 | 6;
  readonly value: bigint;
}

const [ZERO, NINE, DOT] = [48, 57, 46];

/**
 * The value of an IPv4 address in four decimal parts without leading zeros, that ends at `end`; -1 for anything else.
 * Thousands are read at a time, so that it looks at each character once and makes nothing.
 */
function scanIpv4(text: string, end = text.length): number {
  let value = 0;
  let octet = -1;
  let parts = 1;
  for (let index = 0; index < end; index += 1) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (octet < 0) return -1;
      value = value * 256 + octet;
      octet = -1;
      parts += 1;
    } else {
      octet = nextOctet(octet, code);
      if (octet < 0) return -1;
    }
  }
  return parts === 4 && octet >= 0 ? value * 256 + octet : -1;
}

/** The octet with one more digit, `octet` being -1 before the first; -1 when that is none. */
function nextOctet(octet: number, code: number): number {
  if (code < ZERO || code > NINE || octet === 0) return -1;
  const longer = (octet < 0 ? 0 : octet * 10) + code - ZERO;
  return longer > 255 ? -1 : longer;
}

/** A prefix of IPv4 as numbers, host bits as they stand. */
interface Ipv4Prefix {
  readonly value: number;
  readonly prefixLength: number;
}

const IPV4_LENGTHS: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 33 }, (_, length) => [String(length), length]),
);

/** Reads `a.b.c.d/length`; undefined for anything else, what parseCidr may read all the same. */
function scanIpv4Prefix(text: string): Ipv4Prefix | undefined {
  const slash = text.lastIndexOf('/');
  const prefixLength = IPV4_LENGTHS.get(text.slice(slash + 1));
  const value = slash < 0 || prefixLength === undefined ? -1 : scanIpv4(text, slash);
  return value < 0 || prefixLength === undefined ? undefined : { value, prefixLength };
}

function renderIpv4(value: number): string {
  return `${Math.floor(value / 16_777_216)}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

function bitsOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function parseAddress(text: string): Parsed | undefined {
  const ipv4 = scanIpv4(text);
  if (ipv4 >= 0) return { family: 4, value: BigInt(ipv4) };
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
  const value = ipaddr.IPv6.parse(text).parts.reduce((sum, part) => (sum << 16n) | BigInt(part), 0n);
  return { family: 6, value };
}

function renderAddress(family: 4 | 6, value: bigint): string {
  if (family === 4) return renderIpv4(Number(value));
  const parts = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(16 * (7 - index))) & 0xffffn));
  return new ipaddr.IPv6(parts).toRFC5952String();
}

function mask(parsed: Parsed, prefixLength: number): bigint {
  const hostBits = BigInt(bitsOf(parsed.family) - prefixLength);
  return (parsed.value >> hostBits) << hostBits;
}

/** Parses `address/length`, host bits are masked away; undefined for anything else, also for a bare address. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const parsed = parseAddress(match[1] ?? '');
  const prefixLength = Number(match[2]);
  if (parsed === undefined || prefixLength > bitsOf(parsed.family)) return undefined;
  return { family: parsed.family, base: mask(parsed, prefixLength), prefixLength };
}

/** The text form of a parsed prefix, e.g. 10.0.0.0/8. */
export function formatCidr(cidr: Cidr): string {
  return `${renderAddress(cidr.family, cidr.base)}/${cidr.prefixLength}`;
}

/** Whether the text is an IPv4 prefix in canonical form already; most are. */
function isCanonicalIpv4(text: string): boolean {
  const prefix = scanIpv4Prefix(text);
  return prefix !== undefined && prefix.value % 2 ** (32 - prefix.prefixLength) === 0;
}

/** The one text form of a prefix (host bits masked, IPv6 per RFC 5952); undefined when it is not a prefix. */
export function canonicalCidr(text: string): string | undefined {
  if (isCanonicalIpv4(text)) return text;
  const cidr = parseCidr(text);
  return cidr === undefined ? undefined : formatCidr(cidr);
}

/** A prefix, or an address as the prefix that holds only it. */
function parseCidrOrAddress(text: string): Cidr | undefined {
  return parseCidr(text) ?? (isIpAddress(text) ? parseCidr(`${text}/${bitsOf(ipFamily(text))}`) : undefined);
}

/** Whether `inner` (a prefix or an address) lies wholly inside `outer`; false for junk and for mixed families. */
export function cidrContains(outer: string, inner: string): boolean {
  const out = parseCidr(outer);
  const into = parseCidrOrAddress(inner);
  return out !== undefined && into !== undefined && covers(out, into);
}

/** Whether two prefixes share an address; false for junk and for mixed families. */
export function cidrsOverlap(a: string, b: string): boolean {
  return cidrContains(a, b) || cidrContains(b, a);
}

/** Whether the text is an IPv4 address in four decimal parts or an IPv6 address without a zone. */
export function isIpAddress(text: string): boolean {
  return parseAddress(text) !== undefined;
}

/** The family of an address or prefix; 4 for junk. */
export function ipFamily(text: string): 4 | 6 {
  return text.includes(':') ? 6 : 4;
}

/** The one text form of an address; undefined for junk. */
export function canonicalAddress(text: string): string | undefined {
  if (scanIpv4(text) >= 0) return text;
  const parsed = parseAddress(text);
  return parsed === undefined ? undefined : renderAddress(parsed.family, parsed.value);
}

/** The first usable address of a prefix: the one after the network address, or its only one. Undefined for junk. */
export function firstAddress(cidr: string): string | undefined {
  const parsed = parseCidr(cidr);
  if (parsed === undefined) return undefined;
  const offset = parsed.prefixLength >= bitsOf(parsed.family) - 1 ? 0n : 1n;
  return renderAddress(parsed.family, parsed.base + offset);
}

/** The n-th address of a prefix, the network address being number 0; undefined for junk and beyond its end. */
export function addressAt(cidr: string, n: number): string | undefined {
  const parsed = parseCidr(cidr);
  if (parsed === undefined || BigInt(n) >> BigInt(bitsOf(parsed.family) - parsed.prefixLength) !== 0n) return undefined;
  return renderAddress(parsed.family, parsed.base + BigInt(n));
}

/**
 * The prefixes in canonical form and numeric order, without those another one covers; bare addresses count as their
 * own prefix, junk is left out.
 */
export function minimalCidrs(texts: readonly string[]): readonly string[] {
  const ipv4: Ipv4Prefix[] = [];
  const others: Cidr[] = [];
  for (const text of texts) {
    const prefix = scanIpv4Prefix(text);
    const cidr = prefix === undefined ? parseCidrOrAddress(text) : undefined;
    if (prefix !== undefined) ipv4.push(prefix);
    else if (cidr?.family === 4) ipv4.push({ value: Number(cidr.base), prefixLength: cidr.prefixLength });
    else if (cidr !== undefined) others.push(cidr);
  }
  return [...minimalIpv4(ipv4), ...minimalIpv6(others)];
}

/** As numbers, address and length in one, since there may be thousands of them. */
function minimalIpv4(prefixes: readonly Ipv4Prefix[]): readonly string[] {
  const keys = Float64Array.from(prefixes, ({ value, prefixLength }) => {
    const size = 2 ** (32 - prefixLength);
    return Math.floor(value / size) * size * 64 + prefixLength;
  }).toSorted();
  const kept: string[] = [];
  let end = 0;
  for (const key of keys) {
    const [base, prefixLength] = [Math.floor(key / 64), key % 64];
    if (base < end) continue;
    end = base + 2 ** (32 - prefixLength);
    kept.push(`${renderIpv4(base)}/${prefixLength}`);
  }
  return kept;
}

function minimalIpv6(cidrs: readonly Cidr[]): readonly string[] {
  const kept: Cidr[] = [];
  for (const cidr of cidrs.toSorted(compareCidrs)) {
    const last = kept.at(-1);
    if (last === undefined || !covers(last, cidr)) kept.push(cidr);
  }
  return kept.map(formatCidr);
}

/**
 * The first and last address of a prefix as values that can be compared, IPv6 after all of IPv4; numbers for IPv4, whose
 * arithmetic is much faster. Undefined for junk.
 */
export function cidrRange(
  text: string,
): { readonly first: number | bigint; readonly last: number | bigint } | undefined {
  const prefix = scanIpv4Prefix(text);
  if (prefix !== undefined) {
    const size = 2 ** (32 - prefix.prefixLength);
    const first = Math.floor(prefix.value / size) * size;
    return { first, last: first + size - 1 };
  }
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  const first = cidr.base + (cidr.family === 4 ? 0n : 1n << 128n);
  return { first, last: first + (1n << BigInt(bitsOf(cidr.family) - cidr.prefixLength)) - 1n };
}

function covers(outer: Cidr, inner: Cidr): boolean {
  if (outer.family !== inner.family || inner.prefixLength < outer.prefixLength) return false;
  return mask({ family: inner.family, value: inner.base }, outer.prefixLength) === outer.base;
}

/** Order of prefixes: family, network address, shorter first. */
function compareCidrs(a: Cidr, b: Cidr): number {
  if (a.family !== b.family) return a.family - b.family;
  if (a.base !== b.base) return a.base < b.base ? -1 : 1;
  return a.prefixLength - b.prefixLength;
}
