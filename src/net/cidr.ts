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

/** 0 to 255 in decimal without leading zeros; -1 for anything else. */
function scanOctet(text: string): number {
  const { length } = text;
  if (length === 0 || length > 3 || (length > 1 && text.startsWith('0'))) return -1;
  let value = 0;
  for (let index = 0; index < length; index += 1) {
    const digit = text.charCodeAt(index) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > 255 ? -1 : value;
}

/** The value of an IPv4 address in four decimal parts; -1 for anything else. Fast: thousands are read at a time. */
function scanIpv4(text: string): number {
  if (text.length > 15) return -1;
  const parts = text.split('.');
  let value = 0;
  for (const part of parts) {
    const octet = scanOctet(part);
    if (octet < 0) return -1;
    value = value * 256 + octet;
  }
  return parts.length === 4 ? value : -1;
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
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
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
  const slash = text.indexOf('/');
  const length = slash < 0 ? '' : text.slice(slash + 1);
  if (!/^(?:\d|[12]\d|3[0-2])$/.test(length)) return false;
  const value = scanIpv4(text.slice(0, slash));
  return value >= 0 && value % 2 ** (32 - Number(length)) === 0;
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
  const cidrs = texts.map(parseCidrOrAddress).filter((cidr) => cidr !== undefined);
  const sorted = cidrs.toSorted(compareCidrs);
  const kept: Cidr[] = [];
  for (const cidr of sorted) {
    const last = kept.at(-1);
    if (last === undefined || !covers(last, cidr)) kept.push(cidr);
  }
  return kept.map(formatCidr);
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
