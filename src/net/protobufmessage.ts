import { readFields } from './protobufwire.ts';

/** One field of a message: a type by name, `string`, `bytes` and `boolean` among them, or another message. */
export interface MessageField {
  readonly name: string;
  readonly type: string;
  readonly repeated?: boolean;
  /** A map from texts to values of the type. */
  readonly map?: boolean;
}

/** Messages by name, their fields by number. */
export type Messages = Readonly<Record<string, Readonly<Record<string, MessageField>>>>;
type Content = Record<string, unknown>;

/** A Protobuf message as JSON data, known fields only; empty texts, which Go writes for everything that is not set, are left out. */
export function readMessage(messages: Messages, name: string, encoded: Uint8Array): Content {
  const result: Content = {};
  for (const { number, varint, bytes = new Uint8Array() } of readFields(encoded) ?? []) {
    const field = messages[name]?.[number];
    if (field === undefined) continue;
    const value =
      field.map === true ? readEntry(messages, field.type, bytes) : readValue(messages, field.type, varint ?? bytes);
    add(result, field, value);
  }
  return result;
}

function add(result: Content, { name, repeated, map }: MessageField, value: unknown): void {
  const before = result[name];
  if (map === true) result[name] = { ...(before as Content | undefined), ...(value as Content) };
  else if (repeated === true) result[name] = [...((before as unknown[] | undefined) ?? []), value];
  else if (value !== '') result[name] = value;
}

function readValue(messages: Messages, type: string, given: bigint | Uint8Array): unknown {
  if (typeof given === 'bigint') return type === 'boolean' ? given === 1n : Number(given);
  if (type === 'bytes') return Buffer.from(given).toString('base64');
  return type === 'string' ? Buffer.from(given).toString('utf8') : readMessage(messages, type, given);
}

/** An entry of a map: a message of key and value. */
function readEntry(messages: Messages, type: string, bytes: Uint8Array): Content {
  const entry = { 1: { name: 'key', type: 'string' }, 2: { name: 'value', type } };
  const { key = '', value = '' } = readMessage({ ...messages, entry }, 'entry', bytes);
  return { [key as string]: value };
}
