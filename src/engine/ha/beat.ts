/** The datagrams gateways prove to each other with that they live, and what they say in them. */
import { createHmac, createSecretKey, hkdfSync, timingSafeEqual, type KeyObject } from 'node:crypto';
import { isObject } from '../../api/decode.ts';

/** What a gateway says of itself. */
export interface Claims {
  /** It carries its cluster's traffic. */
  readonly active: boolean;
  /** `leaseTransitions` of the lease it holds or sees. */
  readonly term: number;
  /** It could take over. */
  readonly ready: boolean;
  /** Cable names of the gateways it hears and that hear it. */
  readonly hears: readonly string[];
  /** For each other cluster the cable name it sends that cluster's traffic to. */
  readonly uses: ReadonlyMap<string, string>;
}

/** The part of a beat that changes only now and then. */
export interface BeatBody {
  readonly clusterId: string;
  readonly cableName: string;
  /** Cable name of the receiver. */
  readonly to: string;
  readonly claims: Claims;
}

/** The part that is different each time. Times are milliseconds of a monotonic clock. */
export interface BeatHeader {
  /** Random 64 bits, drawn once a process. */
  readonly session: bigint;
  /** The receiver's session, as the sender hears it now; 0 when it does not. */
  readonly heard: bigint;
  /** Grows with every beat to this receiver. */
  readonly counter: number;
  /** The next one follows at the latest after so long. */
  readonly everyMs: number;
  /** The sender's clock; means nothing to others but can be sent back. */
  readonly sentMs: number;
  /** `sentMs` of the last beat from the receiver; NaN before the first. */
  readonly echoMs: number;
  /** How long that one has been here. */
  readonly heldMs: number;
}

/** One datagram. */
export interface Beat {
  readonly header: BeatHeader;
  readonly body: BeatBody;
}

/** A body as it was read, to be compared with the next one instead of reading it again. */
export interface KnownBody {
  readonly bytes: Buffer;
  readonly body: BeatBody;
}

const VERSION = 1;
const MAGIC = 0x53_42; // SB
const MAC_BYTES = 32;
const HEADER_BYTES = 48;
const BODY_AT = MAC_BYTES + HEADER_BYTES;
/** What UDP over IPv4 can hold is 65,507. */
const MAX_BYTES = 60_000;
const MAX_NAMES = 2048;
const MAX_NAME = 253;
const MAX_COUNTER = 2 ** 48 - 1;

/**
 * The key of all beats of a ClusterSet. Without a pre-shared key (driver vxlan) it is a constant everybody can derive: beats
 * are then protected against damage, not against forgery, as that driver's traffic is.
 */
export function beatKey(psk: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', psk, 'subctl gateway beats', `version ${VERSION}`, 32)));
}

/** The bytes of a body, which stay the same as long as it does. */
export function encodeBody({ clusterId, cableName, to, claims }: BeatBody): Buffer {
  const { active, term, ready, hears, uses } = claims;
  const json = { c: clusterId, f: cableName, t: to, a: active, n: term, r: ready, h: hears, u: [...uses] };
  return Buffer.from(JSON.stringify(json));
}

/** The datagram: HMAC-SHA256, header, body. */
export function encodeBeat(key: KeyObject, header: BeatHeader, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(BODY_AT + body.length);
  bytes.writeUInt16BE(MAGIC, 32);
  bytes.writeUInt16BE(VERSION, 34);
  bytes.writeBigUInt64BE(header.session, 36);
  bytes.writeBigUInt64BE(header.heard, 44);
  bytes.writeUIntBE(header.counter, 52, 6);
  bytes.writeUInt16BE(Math.min(65_535, Math.round(header.everyMs)), 58);
  bytes.writeDoubleBE(header.sentMs, 60);
  bytes.writeDoubleBE(header.echoMs, 68);
  bytes.writeFloatBE(header.heldMs, 76);
  body.copy(bytes, BODY_AT);
  mac(key, bytes).copy(bytes, 0);
  return bytes;
}

function mac(key: KeyObject, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes.subarray(MAC_BYTES)).digest();
}

/**
 * The beat in a datagram; undefined when it is not from somebody with the key, not of this version or not whole. Never
 * throws. `known` gives the last body of a session, which is not parsed again when it is the same.
 */
export function decodeBeat(
  key: KeyObject,
  datagram: Uint8Array,
  known?: (session: bigint) => KnownBody | undefined,
): (Beat & { readonly bodyBytes: Buffer }) | undefined {
  const bytes = Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  if (!isAuthentic(key, bytes)) return undefined;
  const header = readHeader(bytes);
  if (header === undefined) return undefined;
  const bodyBytes = bytes.subarray(BODY_AT);
  const last = known?.(header.session);
  if (last !== undefined && last.bytes.equals(bodyBytes)) return { header, body: last.body, bodyBytes: last.bytes };
  const body = readBody(bodyBytes);
  return body === undefined ? undefined : { header, body, bodyBytes };
}

function isAuthentic(key: KeyObject, bytes: Buffer): boolean {
  if (bytes.length <= BODY_AT || bytes.length > MAX_BYTES) return false;
  if (bytes.readUInt16BE(32) !== MAGIC || bytes.readUInt16BE(34) !== VERSION) return false;
  return timingSafeEqual(mac(key, bytes), bytes.subarray(0, MAC_BYTES));
}

function readHeader(bytes: Buffer): BeatHeader | undefined {
  const header: BeatHeader = {
    session: bytes.readBigUInt64BE(36),
    heard: bytes.readBigUInt64BE(44),
    counter: bytes.readUIntBE(52, 6),
    everyMs: bytes.readUInt16BE(58),
    sentMs: bytes.readDoubleBE(60),
    echoMs: bytes.readDoubleBE(68),
    heldMs: bytes.readFloatBE(76),
  };
  const sound = header.session !== 0n && header.everyMs > 0 && Number.isFinite(header.sentMs) && header.heldMs >= 0;
  return sound && header.counter <= MAX_COUNTER ? header : undefined;
}

function readBody(bytes: Buffer): BeatBody | undefined {
  const json = parseJson(bytes);
  if (!isObject(json)) return undefined;
  const { c, f, t } = json;
  if (!isName(c) || !isName(f) || !isName(t)) return undefined;
  const claims = readClaims(json);
  return claims === undefined ? undefined : { clusterId: c, cableName: f, to: t, claims };
}

function readClaims({ a, n, r, h, u }: Readonly<Record<string, unknown>>): Claims | undefined {
  if (typeof a !== 'boolean' || typeof r !== 'boolean') return undefined;
  if (typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0) return undefined;
  if (!isList(h, isName) || !isList(u, isPair)) return undefined;
  return { active: a, term: n, ready: r, hears: h, uses: new Map(u) };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME;
}

function isPair(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every(isName);
}

function isList<T>(value: unknown, isItem: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.length <= MAX_NAMES && value.every(isItem);
}
