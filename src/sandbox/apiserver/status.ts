import { type Obj } from './json.ts';

/** One entry of details.causes; the message already names the kind of error ("Invalid value: …"). */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field: string;
}

/** What a resource is called in messages. */
export interface Named {
  readonly group: string;
  readonly plural: string;
}

/** A refused request: becomes the HTTP status and a meta/v1 Status body; without details `reason` may be ''. */
export class ApiError extends Error {
  readonly code: number;
  readonly #reason: string;
  readonly #details: Obj | undefined;
  readonly #metadata: Obj;
  constructor(code: number, message: string, reason = '', details?: Obj, metadata: Obj = {}) {
    super(message);
    this.code = code;
    this.#reason = reason;
    this.#details = details;
    this.#metadata = metadata;
  }
  body(): Obj {
    const head = { kind: 'Status', apiVersion: 'v1', metadata: this.#metadata, status: 'Failure' };
    const reason = this.#reason === '' ? {} : { reason: this.#reason };
    const details = this.#details === undefined ? {} : { details: this.#details };
    return { ...head, message: this.message, ...reason, ...details, code: this.code };
  }
}

/** An error answered as text/plain, as unknown paths are. */
export class PathError extends Error {}

const of = (word: string, group: string): string => (group === '' ? word : `${word}.${group}`);
const details = (name: string, group: string, kind: string): Obj =>
  Object.fromEntries(Object.entries({ name, group, kind }).filter(([, value]) => value !== ''));

/** 400 with the message as it is. */
export const badRequest = (message: string): ApiError => new ApiError(400, message, 'BadRequest');

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

/** The words of optimistic locking. */
export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

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

/** Cause "Required value". */
export const required = (field: string, why = ''): Cause => ({
  reason: 'FieldValueRequired',
  message: `Required value${why === '' ? '' : `: ${why}`}`,
  field,
});

/** Cause "Invalid value: <value as JSON>: why". */
export const badValue = (field: string, value: unknown, why: string, reason = 'FieldValueInvalid'): Cause => ({
  reason,
  message: `Invalid value: ${JSON.stringify(value ?? null)}: ${why}`,
  field,
});

/** Cause "Unsupported value". */
export function unsupported(field: string, value: unknown, allowed: readonly unknown[]): Cause {
  const supported = allowed.map((each) => JSON.stringify(each)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
  return { reason: 'FieldValueNotSupported', message, field };
}

/** Cause "Duplicate value". */
export const duplicate = (field: string, value: unknown): Cause => ({
  reason: 'FieldValueDuplicate',
  message: `Duplicate value: ${JSON.stringify(value)}`,
  field,
});

/** Cause "Forbidden". */
export const notAllowed = (field: string, why: string): Cause => ({
  reason: 'FieldValueForbidden',
  message: `Forbidden: ${why}`,
  field,
});
