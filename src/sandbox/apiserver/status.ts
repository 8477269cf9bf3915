import { type Obj } from '../../kube/json.ts';

/** One entry of details.causes; the message already names the kind of error ("Invalid value: …"). */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** What a resource is called in messages. */
export type Named = { readonly group: string; readonly plural: string };

/** A refused request: becomes the HTTP status and a meta/v1 Status body; without details `reason` may be ''. */
export class ApiError extends Error {
  readonly code: number;
  readonly #rest: Obj;
  constructor(code: number, message: string, reason = '', details?: Obj, metadata: Obj = {}) {
    super(message);
    this.code = code;
    this.#rest = { metadata, ...(reason === '' ? {} : { reason }), ...(details && { details }) };
  }
  body(): Obj {
    const { message, code } = this;
    return { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code, ...this.#rest };
  }
}

/** An error answered as text/plain, as unknown paths are. */
export class PathError extends Error {}

const of = (word: string, group: string): string => (group === '' ? word : `${word}.${group}`);
const details = (name: string, group: string, kind: string): Obj =>
  Object.fromEntries(Object.entries({ name, group, kind }).filter(([, value]) => value !== ''));

/** 400 with the message as it is. */
export const badRequest = (message: string): ApiError => new ApiError(400, message, 'BadRequest');
/** 415 naming the media types that would do. */
export const badMedia = (accepted: string): ApiError => {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted}`;
  return new ApiError(415, message, 'UnsupportedMediaType');
};
/** 404 for one object. */
export const notFound = ({ plural, group }: Named, name: string): ApiError =>
  new ApiError(404, `${of(plural, group)} "${name}" not found`, 'NotFound', details(name, group, plural));
/** 404 for a resource, version or subresource that a known group does not have. */
export const noSuchResource = (): ApiError =>
  new ApiError(404, 'the server could not find the requested resource', 'NotFound', {});
/** 405 for a verb the resource does not have. */
export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'the server does not allow this method on the requested resource', 'MethodNotAllowed', {});

/** 409 on create. */
export function alreadyExists({ plural, group }: Named, name: string, deleting: boolean): ApiError {
  const message = `${deleting ? 'object is being deleted: ' : ''}${of(plural, group)} "${name}" already exists`;
  return new ApiError(409, message, 'AlreadyExists', details(name, group, plural));
}

/** 409 with the given words after "Operation cannot be fulfilled on …". */
export function conflict({ plural, group }: Named, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${of(plural, group)} "${name}": ${why}`;
  return new ApiError(409, message, 'Conflict', details(name, group, plural));
}

/** 403 for a resource request; name '' when the request names no object. */
export function forbidden({ plural, group }: Named, name: string, why: string, extra: Obj = {}): ApiError {
  const message = `${of(plural, group)}${name === '' ? '' : ` "${name}"`} is forbidden: ${why}`;
  return new ApiError(403, message, 'Forbidden', { ...details(name, group, plural), ...extra });
}

/** 422 listing every cause; equal causes are said once in the message. */
export function invalid(kind: string, group: string, name: string, causes: readonly Cause[]): ApiError {
  const lines = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))];
  const message = `${of(kind, group)} "${name}" is invalid: ${lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`}`;
  return new ApiError(422, message, 'Invalid', { ...details(name, group, kind), causes });
}

const cause = (reason: string, field: string, message: string): Cause => ({ reason, message, field });
/** Cause "Required value". */
export const required = (field: string, why = ''): Cause =>
  cause('FieldValueRequired', field, `Required value${why === '' ? '' : `: ${why}`}`);
/** Cause "Invalid value: <value as JSON>: why". */
export const badValue = (field: string, value: unknown, why: string, reason = 'FieldValueInvalid'): Cause =>
  cause(reason, field, `Invalid value: ${JSON.stringify(value ?? null)}: ${why}`);

/** Cause "Unsupported value". */
export function unsupported(field: string, value: unknown, allowed: readonly unknown[]): Cause {
  const supported = allowed.map((each) => JSON.stringify(each)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
  return cause('FieldValueNotSupported', field, message);
}

/** Cause "Duplicate value". */
export const duplicate = (field: string, value: unknown): Cause =>
  cause('FieldValueDuplicate', field, `Duplicate value: ${JSON.stringify(value)}`);
/** Cause "Forbidden". */
export const notAllowed = (field: string, why: string): Cause =>
  cause('FieldValueForbidden', field, `Forbidden: ${why}`);
/** Cause "Too long" or "Too many". */
export const tooMuch = (field: string, what: 'Long' | 'Many', words: string): Cause =>
  cause(`FieldValueToo${what}`, field, `Too ${what.toLowerCase()}: ${words}`);
/** The causes when a condition holds, else none. */
export const when = (holds: boolean, ...causes: readonly Cause[]): readonly Cause[] => (holds ? causes : []);
