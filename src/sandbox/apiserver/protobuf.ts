import { type Obj, list, obj, text } from './json.ts';
import { ApiError } from './status.ts';

/**
 * The messages kubectl sends as Protobuf, a line each: `Name: number.field:type …` with s string, b boolean, i integer,
 * y bytes; [T] repeated, {T} map. Numbers are those of the generated.proto files of k8s.io/api.
 */
const MESSAGES = `
ObjectMeta: 1.name:s 2.generateName:s 3.namespace:s 11.labels:{s} 12.annotations:{s} 14.finalizers:[s]
Namespace: 1.metadata:ObjectMeta
ConfigMap: 1.metadata:ObjectMeta 2.data:{s} 3.binaryData:{y} 4.immutable:b
Secret: 1.metadata:ObjectMeta 2.data:{y} 3.type:s 4.stringData:{s} 5.immutable:b
ServiceAccount: 1.metadata:ObjectMeta 4.automountServiceAccountToken:b
PolicyRule: 1.verbs:[s] 2.apiGroups:[s] 3.resources:[s] 4.resourceNames:[s] 5.nonResourceURLs:[s]
Subject: 1.kind:s 2.apiGroup:s 3.name:s 4.namespace:s
RoleRef: 1.apiGroup:s 2.kind:s 3.name:s
Role: 1.metadata:ObjectMeta 2.rules:[PolicyRule]
ClusterRole: 1.metadata:ObjectMeta 2.rules:[PolicyRule]
RoleBinding: 1.metadata:ObjectMeta 2.subjects:[Subject] 3.roleRef:RoleRef
ClusterRoleBinding: 1.metadata:ObjectMeta 2.subjects:[Subject] 3.roleRef:RoleRef
BoundRef: 1.kind:s 2.apiVersion:s 3.name:s 4.uid:s
TokenSpec: 1.audiences:[s] 3.boundObjectRef:BoundRef 4.expirationSeconds:i
TokenRequest: 1.metadata:ObjectMeta 2.spec:TokenSpec
ResourceAttributes: 1.namespace:s 2.verb:s 3.group:s 4.version:s 5.resource:s 6.subresource:s 7.name:s
PathAttributes: 1.path:s 2.verb:s
AccessSpec: 1.resourceAttributes:ResourceAttributes 2.nonResourceAttributes:PathAttributes
SelfSubjectAccessReview: 1.metadata:ObjectMeta 2.spec:AccessSpec
RulesSpec: 1.namespace:s
SelfSubjectRulesReview: 1.metadata:ObjectMeta 2.spec:RulesSpec
SelfSubjectReview: 1.metadata:ObjectMeta
DeleteOptions: 1.gracePeriodSeconds:i
Eviction: 1.metadata:ObjectMeta 2.deleteOptions:DeleteOptions
TypeMeta: 1.apiVersion:s 2.kind:s
Unknown: 1.typeMeta:TypeMeta 2.raw:y
StringEntry: 1.key:s 2.value:s
BytesEntry: 1.key:s 2.value:y
`;

interface Field {
  readonly name: string;
  readonly type: string;
}

function fieldsOf(message: string): Map<number, Field> {
  const line = MESSAGES.split('\n').find((each) => each.startsWith(`${message}: `)) ?? ': ';
  const fields = line.slice(message.length + 2).matchAll(/(\d+)\.(\w+):(\S+)/g);
  return new Map([...fields].map(([, number, name = '', type = '']) => [Number(number), { name, type }]));
}

/** One encoded field: its number, and a number or the bytes it holds. */
type Part = readonly [number: number, value: number | Buffer];

function* parts(bytes: Buffer): Generator<Part> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(at);
      at += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const size = [0, 8, varint, undefined, undefined, 4][key % 8];
    if (size === undefined) throw new RangeError(`wire type ${key % 8}`);
    const length = size === 0 ? varint() : size === varint ? varint() : Number(size);
    const number = Math.floor(key / 8);
    if (size === 0) yield [number, length];
    else yield [number, bytes.subarray(at, (at += length))];
  }
}

function decodeValue(type: string, value: number | Buffer): unknown {
  if (typeof value === 'number') return type === 'b' ? value === 1 : value;
  if (type === 's') return value.toString('utf8');
  return type === 'y' ? value.toString('base64') : decodeMessage(type, value);
}

/** A message as JSON; empty strings, which Go writes for everything that is not set, are left out. */
function decodeMessage(message: string, bytes: Buffer): Obj {
  const fields = fieldsOf(message);
  const result: Obj = {};
  for (const [number, value] of parts(bytes)) {
    const { name = '', type = '' } = fields.get(number) ?? {};
    const unset = type === '' || (type === 's' && typeof value !== 'number' && value.length === 0);
    if (!unset) result[name] = merge(type, result[name], value);
  }
  return result;
}

/** A field after one more occurrence of it: maps and lists grow, everything else is replaced. */
function merge(type: string, before: unknown, value: number | Buffer): unknown {
  const inner = type.slice(1, -1);
  if (type.startsWith('[')) return [...list(before), decodeValue(inner, value)];
  if (!type.startsWith('{')) return decodeValue(type, value);
  const entry = obj(decodeValue(inner === 's' ? 'StringEntry' : 'BytesEntry', value));
  return { ...obj(before), [text(entry.key)]: entry.value ?? '' };
}

/** The media type of Protobuf bodies. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');

/** A Protobuf body (runtime.Unknown behind "k8s\0") as JSON; 415 for kinds that have to be sent as JSON. */
export function protobufToJson(body: Buffer): string {
  const refused = (why: string): ApiError => new ApiError(415, `${why}: send application/json`, 'UnsupportedMediaType');
  if (!body.subarray(0, 4).equals(MAGIC)) throw refused('the body is not Kubernetes Protobuf');
  try {
    const { typeMeta, raw } = decodeMessage('Unknown', body.subarray(4));
    const { kind, apiVersion } = obj(typeMeta);
    if (fieldsOf(String(kind)).size === 0)
      throw refused(`Protobuf of kind ${String(kind)} is not supported by this API server`);
    const content = decodeMessage(String(kind), Buffer.from(text(raw), 'base64'));
    return JSON.stringify({ kind, apiVersion, ...content });
  } catch (error) {
    throw error instanceof ApiError ? error : refused(`the body is damaged (${String(error)})`);
  }
}
