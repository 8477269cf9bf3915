import { parse as parseYaml } from 'yaml';
import { type Obj, type Resource, isObj, obj, text, without } from './json.ts';
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts';
import { PROTOBUF } from './protobuf.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { type ApiRequest, type WriteOptions } from './request.ts';
import { decode } from './schema.ts';
import { ApiError, badRequest, badValue, invalid } from './status.ts';

const UNKNOWN_MEDIA = 'the body of the request was in an unknown format - accepted media types include: ';
const badMedia = (accepted: string): ApiError => new ApiError(415, UNKNOWN_MEDIA + accepted, 'UnsupportedMediaType');
const mediaOf = ({ headers }: ApiRequest): string => (text(headers['content-type']).split(';')[0] ?? '').trim();
/** Whether a PATCH is a server-side apply. */
export const isApply = (request: ApiRequest): boolean => mediaOf(request) === 'application/apply-patch+yaml';

const shorten = (body: string): string =>
  body === '' ? '<empty>' : body.length > 30 ? `${body.slice(0, 30)} ...` : body;

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
  const why = `couldn't get version/kind; json parse error: unexpected end of JSON input (${shorten(body)})`;
  throw badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
}

const handledAs = ({ kind, version }: ResourceType): string =>
  `${kind} in version "${version}" cannot be handled as a ${kind}`;

/** Refuses a body of another kind or version. */
function checkKind(type: ResourceType, body: Obj, raw: string): void {
  const wanted = groupVersion(type.group, type.version);
  if (type.custom !== undefined) return checkCustomKind(type, body, raw);
  const { kind = type.kind, apiVersion = wanted } = body;
  const core = type.group.split('.')[0] || 'core';
  const handled = `${text(kind)} in version "${type.version}" cannot be handled as a ${type.kind}`;
  const conversion = `converting (${type.version}.${text(kind)}) to (${core}.${type.kind}): unknown conversion`;
  if (kind !== type.kind) throw badRequest(`${handled}: ${conversion}`);
  const where = `for version "${text(apiVersion)}" in scheme "pkg/api/legacyscheme/scheme.go:30"`;
  if (apiVersion !== wanted) throw badRequest(`${handled}: no kind "${type.kind}" is registered ${where}`);
  return undefined;
}

function checkCustomKind({ group, version, kind }: ResourceType, body: Obj, raw: string): void {
  const wanted = groupVersion(group, version);
  const missing = `Object 'Kind' is missing in '${raw}' (${shorten(raw)})`;
  if (body.kind === undefined)
    throw badRequest(`the object provided is unrecognized (must be of type ${kind}): ${missing}`);
  const words = `the API version in the data (${text(body.apiVersion)}) does not match the expected API version (${wanted})`;
  if (body.apiVersion !== wanted) throw badRequest(words);
  const cause = badValue('kind', body.kind, `must be ${kind}`);
  if (body.kind !== kind) throw invalid(text(body.kind), group, text(obj(body.metadata).name), [cause]);
}

/** The known fields of a body as an object of the type's storage version; 400 for wrong JSON types. */
function decodeAs(type: ResourceType, value: Obj, unknown: string[]): Resource {
  const meta = { typed: true, kind: 'ObjectMeta', unknown: [] };
  try {
    const read = obj(decode(type.schema, value, { typed: type.custom === undefined, kind: type.kind, unknown }, ''));
    const metadata = obj(
      decode(type.schema.properties?.metadata ?? {}, value.metadata ?? {}, meta, ''),
    ) as Resource['metadata'];
    const head = { kind: type.kind, apiVersion: groupVersion(type.group, type.storageVersion), metadata };
    return { ...head, ...without(read, 'kind', 'apiVersion', 'metadata') };
  } catch (error) {
    throw error instanceof ApiError ? badRequest(`${handledAs(type)}: ${error.message}`) : error;
  }
}

/** Reads a body as an object of the type: right kind, known fields (400 with Strict, else a warning), right JSON types. */
export function readObject(
  { type, warnings }: ApiRequest,
  body: Obj,
  raw: string,
  { validation }: WriteOptions,
): Resource {
  checkKind(type, body, raw);
  const unknown: string[] = [];
  const read = decodeAs(type, body, unknown);
  const words = unknown.map((path) => `unknown field "${path}"`);
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

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';

/** Applies a JSON, merge or strategic merge patch body to a JSON document. */
export function patchDocument(request: ApiRequest, document: unknown): Obj {
  const media = mediaOf(request);
  const { custom, schema } = request.type;
  if (![JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH].includes(media))
    throw new ApiError(415, '415: Unsupported Media Type', 'UnsupportedMediaType', {});
  if (media === STRATEGIC_PATCH && custom !== undefined)
    throw badMedia(`${JSON_PATCH}, ${MERGE_PATCH}, application/apply-patch+yaml`);
  let patch: unknown;
  try {
    patch = JSON.parse(request.body);
  } catch {
    throw badRequest('error decoding patch: unexpected end of JSON input');
  }
  if (media === MERGE_PATCH) return obj(mergePatch(document, patch));
  if (media === STRATEGIC_PATCH) return obj(strategicPatch(schema, document, patch));
  if (Array.isArray(patch)) return obj(jsonPatch(document, patch as unknown[]));
  throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp');
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
export function readConfig({ type, name, namespace, body: raw }: ApiRequest): Resource {
  let body: Obj;
  try {
    body = obj(parseYaml(raw, { version: '1.1' }));
  } catch (error) {
    throw badRequest(`error strict decoding YAML: error converting YAML to JSON: yaml: ${String(error)}`);
  }
  if (body.kind === undefined || body.apiVersion === undefined)
    throw badRequest(`invalid object type: /, Kind=${text(body.kind)}`);
  if (obj(body.metadata).managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkKind(type, body, raw);
  const unknown: string[] = [];
  const config = decodeAs(type, body, unknown);
  const where = `${config.metadata.namespace === undefined ? '' : namespace}/${name}; ${type.group}/${type.version}, Kind=${type.kind}`;
  if (unknown[0] !== undefined)
    throw new ApiError(
      500,
      `failed to create typed patch object (${where}): .${unknown[0]}: field not declared in schema`,
    );
  checkName(name, config);
  return { ...config, metadata: { ...config.metadata, name } };
}
