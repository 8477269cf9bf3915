/** One field of a protobuf message: a varint or length-delimited bytes; fixed-width fields are read and left out. */
export interface WireField {
  readonly number: number;
  readonly varint?: bigint;
  readonly bytes?: Uint8Array;
}

const MAX_VARINT_BYTES = 10;

interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
}

/** The fields of a protobuf message in order of appearance (protobuf encoding guide); undefined when it is not one. */
export function readFields(bytes: Uint8Array): readonly WireField[] | undefined {
  const cursor: Cursor = { bytes, position: 0 };
  const fields: WireField[] = [];
  while (cursor.position < bytes.length) {
    const tag = readVarint(cursor);
    if (tag === undefined || tag > 0xffff_ffffn || tag >> 3n === 0n) return undefined;
    const field = readValue(cursor, Number(tag >> 3n), Number(tag & 7n));
    if (field === undefined) return undefined;
    fields.push(field);
  }
  return fields;
}

function readValue(cursor: Cursor, number: number, wireType: number): WireField | undefined {
  switch (wireType) {
    case 0: {
      const varint = readVarint(cursor);
      return varint === undefined ? undefined : { number, varint };
    }
    case 1:
      return take(cursor, 8n) === undefined ? undefined : { number };
    case 2: {
      const bytes = take(cursor, readVarint(cursor));
      return bytes === undefined ? undefined : { number, bytes };
    }
    case 5:
      return take(cursor, 4n) === undefined ? undefined : { number };
    default:
      return undefined;
  }
}

/** The next bytes; undefined when there are not so many, or when the length could not be read. */
function take(cursor: Cursor, length: bigint | undefined): Uint8Array | undefined {
  if (length === undefined || length > BigInt(cursor.bytes.length - cursor.position)) return undefined;
  const end = cursor.position + Number(length);
  const part = cursor.bytes.subarray(cursor.position, end);
  cursor.position = end;
  return part;
}

function readVarint(cursor: Cursor): bigint | undefined {
  let value = 0n;
  for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
    const byte = cursor.bytes[cursor.position];
    if (byte === undefined) return undefined;
    cursor.position += 1;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  return undefined;
}

function varint(value: bigint): readonly number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

/** A varint field; nothing for 0, which proto3 leaves out. */
export function varintField(number: number, value: bigint | number | boolean | undefined): Buffer {
  const big = BigInt(value ?? 0);
  return big === 0n ? Buffer.alloc(0) : Buffer.from([...varint(BigInt(number) << 3n), ...varint(big)]);
}

/** A text field; nothing for the empty text. */
export function textField(number: number, text: string): Buffer {
  return text === '' ? Buffer.alloc(0) : messageField(number, Buffer.from(text, 'utf8'));
}

/** A submessage field; nothing when it is absent, two bytes when it is empty. */
export function messageField(number: number, body: Buffer | undefined): Buffer {
  if (body === undefined) return Buffer.alloc(0);
  return Buffer.concat([Buffer.from([...varint((BigInt(number) << 3n) | 2n), ...varint(BigInt(body.length))]), body]);
}
