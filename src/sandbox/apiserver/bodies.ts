import { parse as parseYaml, YAMLParseError } from 'yaml';
import { isObj, type Obj, obj, text, without } from '../../kube/json.ts';
import { jsonPatch, PatchError, strategicPatch } from '../../kube/patch.ts';
import { type Messages, readMessage } from '../../net/protobufmessage.ts';
import messages from './protobuf.json' with { type: 'json' };
import { groupVersion, type ResourceType, schemaOf } from './registry.ts';
import { type ApiRequest, mediaOf, type WriteOptions } from './request.ts';
import { decode } from './schema.ts';
import { ApiError, badMedia, badRequest, badValue, invalid } from './status.ts';
import { type Resource } from './store.ts';

/** Whether a PATCH is a server-side apply. */
export const isApply = (request: ApiRequest): boolean => mediaOf(request) === 'application/apply-patch+yaml';

const MESSAGES: Messages = messages;
const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** A body as text; Protobuf (runtime.Unknown behind "k8s\\0"), which kubectl's typed clients send, becomes JSON or 415. */
export function bodyText(body: Buffer, media: string | undefined): string {
  if (media !== PROTOBUF) return body.toString('utf8');
  const { typeMeta, raw } = readMessage(MESSAGES, 'Unknown', body.subarray(4));
  const { kind, apiVersion } = obj(typeMeta);
  const why = `Protobuf of kind ${text(kind)} is not supported by this API server: send application/json`;
  if (MESSAGES[text(kind)] === undefined) throw new ApiError(415, why, 'UnsupportedMediaType');
  return JSON.stringify({ kind, apiVersion, ...readMessage(MESSAGES, text(kind), Buffer.from(text(raw), 'base64')) });
}

/** The body as the named kind, known fields only. */
export function readAs(request: ApiRequest, kind: string): Obj {
  return obj(decode(schemaOf(kind), parseBody(request, kind), { typed: true, kind, unknown: [] }, ''));
}

const shorten = (body: string): string => (body.length > 30 ? `${body.slice(0, 30)} ...` : body || '<empty>');
const unrecognized = (kind: string, why: string): Error =>
  badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);

/** The JSON object in a body; 400 and 415 in the words of apimachinery. */
export function parseBody(request: ApiRequest, kind: string): Obj {
  const media = mediaOf(request);
  const { body } = request;
  if (!['application/yaml', 'application/json', PROTOBUF, ''].includes(media))
    throw badMedia('application/json, application/yaml, application/vnd.kubernetes.protobuf');
  try {
    const parsed: unknown = media === 'application/yaml' ? parseYaml(body) : JSON.parse(body);
    if (isObj(parsed)) return parsed;
  } catch {
    // Said below.
  }
  throw unrecognized(
    kind,
    `couldn't get version/kind; json parse error: unexpected end of JSON input (${shorten(body)})`,
  );
}

/** Where a key is given twice, also in JSON, which is YAML: its line, and the text there. */
function duplicateKey(error: unknown, raw: string): readonly [line: number, key: string] | undefined {
  if (!(error instanceof YAMLParseError) || error.code !== 'DUPLICATE_KEY') return undefined;
  return [error.linePos?.[0].line ?? 0, /^(?:"[^"]*"|[^\s:]+)/.exec(raw.slice(error.pos[0]))?.[0] ?? ''];
}

/** The fields that a strict decoder refuses because they are given twice. */
function duplicateFields(raw: string): readonly string[] {
  try {
    parseYaml(raw);
    return [];
  } catch (error) {
    const [, key] = duplicateKey(error, raw) ?? [];
    return key === undefined ? [] : [`duplicate field ${key}`];
  }
}

const handledAs = ({ kind, version }: ResourceType): string =>
  `${kind} in version "${version}" cannot be handled as a ${kind}`;

/** Refuses a body of another kind or version. */
function checkKind({ type, warnings }: ApiRequest, body: Obj, raw: string): void {
  const wanted = groupVersion(type.group, type.version);
  if (type.custom !== undefined) return checkCustomKind(type, body, raw, warnings);
  const { kind = type.kind, apiVersion = wanted } = body;
  const core = type.group.split('.')[0] || 'core';
  const handled = `${text(kind)} in version "${type.version}" cannot be handled as a ${type.kind}`;
  const conversion = `converting (${type.version}.${text(kind)}) to (${core}.${type.kind}): unknown conversion`;
  if (kind !== type.kind) throw badRequest(`${handled}: ${conversion}`);
  const where = `for version "${text(apiVersion)}" in scheme "pkg/api/legacyscheme/scheme.go:30"`;
  if (apiVersion !== wanted) throw badRequest(`${handled}: no kind "${type.kind}" is registered ${where}`);
  return undefined;
}

function checkCustomKind({ group, version, kind }: ResourceType, body: Obj, raw: string, warnings: string[]): void {
  const wanted = groupVersion(group, version);
  const given = text(body.apiVersion);
  const missing = `Object 'Kind' is missing in '${raw}' (${shorten(raw)})`;
  if (body.kind === undefined) throw unrecognized(kind, missing);
  const words = `the API version in the data (${given}) does not match the expected API version (${wanted})`;
  // Of a version that is not served no field is known.
  const fields = Object.keys(without(body, 'apiVersion', 'kind', 'metadata'));
  if (given !== wanted) warnings.push(...fields.map((field) => `unknown field "${field}"`));
  if (given !== wanted) throw badRequest(words);
  const cause = badValue('kind', body.kind, `must be ${kind}`);
  if (body.kind !== kind) throw invalid(text(body.kind), group, text(obj(body.metadata).name), [cause]);
}

/** The known fields of a body as an object of the type's storage version; 400 for wrong JSON types. */
function decodeAs(type: ResourceType, value: Obj, unknown: string[]): Resource {
  const metaSchema = type.schema.properties?.metadata ?? {};
  try {
    const read = obj(decode(type.schema, value, { typed: type.custom === undefined, kind: type.kind, unknown }, ''));
    const meta = decode(metaSchema, value.metadata ?? {}, { typed: true, kind: 'ObjectMeta', unknown: [] }, '');
    const metadata = obj(meta) as Resource['metadata'];
    const head = { kind: type.kind, apiVersion: groupVersion(type.group, type.storageVersion), metadata };
    return { ...head, ...without(read, 'kind', 'apiVersion', 'metadata') };
  } catch (error) {
    throw error instanceof ApiError ? badRequest(`${handledAs(type)}: ${error.message}`) : error;
  }
}

/** Reads a body as an object of the type: right kind, known fields (400 with Strict, else a warning), right JSON types. */
export function readObject(request: ApiRequest, body: Obj, raw: string, { validation }: WriteOptions): Resource {
  const { type, warnings } = request;
  checkKind(request, body, raw);
  const unknown: string[] = [];
  const read = decodeAs(type, body, unknown);
  const words = unknown.map((path) => `unknown field "${path}"`);
  if (validation === 'Strict') words.unshift(...duplicateFields(raw));
  if (validation === 'Strict' && words.length > 0)
    throw badRequest(`${handledAs(type)}: strict decoding error: ${words.join(', ')}`);
  if (validation !== 'Ignore') warnings.push(...words);
  return read;
}

/** 400 when the name in the body is not the one in the URL. */
export function checkName(name: string, { metadata }: Resource): void {
  if (!['', name].includes(text(metadata.name)))
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
}

/** A patched object, read as a body would be but refused in the words of a patch. */
export function readPatched(request: ApiRequest, patched: Obj, options: WriteOptions): Resource {
  try {
    return readObject(request, patched, '', options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 400 || request.type.custom !== undefined) throw error;
    const why = error.message.replace(/^.*? cannot be handled as an? \w+: /, '');
    throw invalid('', '', '', [badValue('patch', JSON.stringify(patched), why)]);
  }
}

/** The configuration in the body of a server-side apply, known fields only. */
export function readConfig(request: ApiRequest): Resource {
  const { type, name, namespace, body: raw } = request;
  let body: Obj;
  try {
    body = obj(parseYaml(raw, { version: '1.1' }));
  } catch (error) {
    const [line, key = ''] = duplicateKey(error, raw) ?? [];
    const twice = `unmarshal errors:\n  line ${line}: key ${parseYaml(key, { version: '1.1' })} already set in map`;
    const why = line === undefined ? String(error) : twice;
    throw badRequest(`error strict decoding YAML: error converting YAML to JSON: yaml: ${why}`);
  }
  if (body.kind === undefined || body.apiVersion === undefined)
    throw badRequest(`invalid object type: /, Kind=${text(body.kind)}`);
  if (obj(body.metadata).managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkKind(request, body, raw);
  const unknown: string[] = [];
  const config = decodeAs(type, body, unknown);
  const where = `${config.metadata.namespace === undefined ? '' : namespace}/${name}; ${type.group}/${type.version}, Kind=${type.kind}`;
  const failed = `failed to create typed patch object (${where}): .${unknown[0]}: field not declared in schema`;
  if (unknown[0] !== undefined) throw new ApiError(500, failed);
  checkName(name, config);
  return { ...config, metadata: { ...config.metadata, name } };
}

const PATCHES = ['json-patch', 'merge-patch', 'strategic-merge-patch'].map((name) => `application/${name}+json`);

/** What a patch makes of a document, refused with the code when it cannot be applied. */
function patched(code: 400 | 422, apply: () => unknown): unknown {
  try {
    return apply();
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    throw code === 400 ? badRequest(error.message) : new ApiError(code, error.message, 'Invalid', {});
  }
}

/** Applies a JSON, merge or strategic merge patch body to a JSON document. */
export function patchDocument(request: ApiRequest, document: unknown): Obj {
  const kind = PATCHES.indexOf(mediaOf(request));
  const { custom, schema } = request.type;
  if (kind < 0) throw new ApiError(415, '415: Unsupported Media Type', 'UnsupportedMediaType', {});
  if (kind === 2 && custom !== undefined)
    throw badMedia(`${PATCHES.slice(0, 2).join(', ')}, application/apply-patch+yaml`);
  let patch: unknown;
  try {
    patch = JSON.parse(request.body);
  } catch {
    throw badRequest('error decoding patch: unexpected end of JSON input');
  }
  if (kind > 0) return obj(patched(400, () => strategicPatch(kind === 1 ? {} : schema, document, patch)));
  if (Array.isArray(patch)) return obj(patched(422, () => jsonPatch(document, patch as unknown[])));
  throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp');
}
