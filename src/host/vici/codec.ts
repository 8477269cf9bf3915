/** A VICI message or section: texts, lists of texts and sections by name. Objects without prototype. */
export interface ViciSection {
  readonly [key: string]: ViciValue;
}
type ViciValue = string | readonly string[] | ViciSection;

/** Bytes that are not what the VICI protocol says. */
export class ViciFormatError extends Error {
  override readonly name: string = 'ViciFormatError';
}

/** Packet types of the VICI transport (strongSwan, src/libcharon/plugins/vici/README.md). */
export const PACKET = {
  request: 0,
  response: 1,
  unknownCommand: 2,
  register: 3,
  unregister: 4,
  confirm: 5,
  unknownEvent: 6,
  event: 7,
} as const;

const ELEMENT = { sectionStart: 1, sectionEnd: 2, keyValue: 3, listStart: 4, listItem: 5, listEnd: 6 } as const;
const MAX_DEPTH = 32;

function nameBytes(name: string): Buffer {
  const text = Buffer.from(name);
  if (text.length > 255) throw new ViciFormatError(`name of ${text.length} bytes is too long`);
  return Buffer.concat([Buffer.of(text.length), text]);
}

function valueBytes(value: string): Buffer {
  const text = Buffer.from(value);
  if (text.length > 0xffff) throw new ViciFormatError(`value of ${text.length} bytes is too long`);
  return Buffer.concat([Buffer.of(text.length >> 8, text.length & 0xff), text]);
}

function isList(value: ViciValue): value is readonly string[] {
  return Array.isArray(value);
}

function elementBytes(name: string, value: ViciValue): readonly Buffer[] {
  if (typeof value === 'string') return [Buffer.of(ELEMENT.keyValue), nameBytes(name), valueBytes(value)];
  if (isList(value)) {
    const items = value.flatMap((item) => [Buffer.of(ELEMENT.listItem), valueBytes(item)]);
    return [Buffer.of(ELEMENT.listStart), nameBytes(name), ...items, Buffer.of(ELEMENT.listEnd)];
  }
  const start = [Buffer.of(ELEMENT.sectionStart), nameBytes(name)];
  return [...start, encodeMessage(value), Buffer.of(ELEMENT.sectionEnd)];
}

/** The bytes of a message; throws ViciFormatError when a name or value is too long for the format. */
export function encodeMessage(message: ViciSection): Buffer {
  return Buffer.concat(Object.entries(message).flatMap(([name, value]) => elementBytes(name, value)));
}

/** A whole packet with its length; `name` for the packet types that have one. */
export function encodePacket(type: number, name?: string, message: ViciSection = {}): Buffer {
  const body = Buffer.concat([
    Buffer.of(type),
    ...(name === undefined ? [] : [nameBytes(name)]),
    encodeMessage(message),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** Reads lengths and texts; every read past the end is a ViciFormatError. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  get position(): number {
    return this.#at;
  }

  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new ViciFormatError(`message ends early, at byte ${this.#at}`);
    this.#at += 1;
    return value;
  }

  #text(length: number): string {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new ViciFormatError(`text of ${length} bytes ends behind the message`);
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end;
    return text;
  }

  name(): string {
    return this.#text(this.byte());
  }

  value(): string {
    const high = this.byte();
    return this.#text(high * 256 + this.byte());
  }

  rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }
}

type MutableSection = { [key: string]: ViciValue };

function readList(reader: Reader): readonly string[] {
  const items: string[] = [];
  for (;;) {
    const at = reader.position;
    const type = reader.byte();
    if (type === ELEMENT.listEnd) return items;
    if (type !== ELEMENT.listItem) throw new ViciFormatError(`element ${type} inside a list, at byte ${at}`);
    items.push(reader.value());
  }
}

function readSection(reader: Reader, depth: number): ViciSection {
  if (depth > MAX_DEPTH) throw new ViciFormatError(`sections are nested more than ${MAX_DEPTH} deep`);
  const section = Object.create(null) as MutableSection;
  for (;;) {
    if (reader.done && depth === 0) return section;
    const at = reader.position;
    const type = reader.byte();
    if (type === ELEMENT.sectionEnd && depth > 0) return section;
    if (type === ELEMENT.keyValue) section[reader.name()] = reader.value();
    else if (type === ELEMENT.listStart) section[reader.name()] = readList(reader);
    else if (type === ELEMENT.sectionStart) section[reader.name()] = readSection(reader, depth + 1);
    else throw new ViciFormatError(`unexpected element ${type} at byte ${at}`);
  }
}

/** The message in these bytes; throws ViciFormatError for anything that is none, never anything else. */
export function decodeMessage(bytes: Buffer): ViciSection {
  return readSection(new Reader(bytes), 0);
}

export interface ViciPacket {
  readonly type: number;
  /** Of events and requests; empty for the other types. */
  readonly name: string;
  readonly message: ViciSection;
}

const NAMED: ReadonlySet<number> = new Set([PACKET.request, PACKET.register, PACKET.unregister, PACKET.event]);

/** The packet in these bytes, without the length in front; throws ViciFormatError for anything that is none. */
export function decodePacket(bytes: Buffer): ViciPacket {
  const reader = new Reader(bytes);
  const type = reader.byte();
  if (type > PACKET.event) throw new ViciFormatError(`unknown packet type ${type}`);
  const name = NAMED.has(type) ? reader.name() : '';
  return { type, name, message: decodeMessage(reader.rest()) };
}

/** The longest packet charon sends or takes: 512 KiB. */
const MAX_PACKET_BYTES = 512 * 1024;

/** Cuts a stream of bytes into packets. */
export class PacketCutter {
  #pending: Buffer = Buffer.alloc(0);

  /** The packets completed by these bytes; throws ViciFormatError when a length cannot be right. */
  push(bytes: Buffer): readonly Buffer[] {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const packets: Buffer[] = [];
    while (this.#pending.length >= 4) {
      const length = this.#pending.readUInt32BE();
      if (length === 0 || length > MAX_PACKET_BYTES) throw new ViciFormatError(`packet of ${length} bytes`);
      if (this.#pending.length < 4 + length) break;
      packets.push(this.#pending.subarray(4, 4 + length));
      this.#pending = this.#pending.subarray(4 + length);
    }
    return packets;
  }
}

/** The text at `key`, empty when there is none. */
export function textAt(section: ViciSection, key: string): string {
  const value = section[key];
  return typeof value === 'string' ? value : '';
}

/** The list at `key`, empty when there is none. */
export function listAt(section: ViciSection, key: string): readonly string[] {
  const value = section[key];
  return value !== undefined && typeof value !== 'string' && isList(value) ? value : [];
}

/** The section at `key`, empty when there is none. */
export function sectionAt(section: ViciSection, key: string): ViciSection {
  const value = section[key];
  return value === undefined || typeof value === 'string' || isList(value) ? {} : value;
}

/** The sections inside a section, by name. */
export function sectionsOf(section: ViciSection): readonly (readonly [string, ViciSection])[] {
  return Object.keys(section)
    .filter((key) => typeof section[key] !== 'string' && !isList(section[key] ?? ''))
    .map((key) => [key, sectionAt(section, key)] as const);
}
