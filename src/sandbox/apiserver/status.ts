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
  readonly kind: string;
}

interface ErrorParts {
  readonly reason?: string;
  readonly details?: Obj;
  readonly metadata?: Obj;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A refused request: becomes the HTTP status and a meta/v1 Status body. */
export class ApiError extends Error {
  readonly code: number;
  readonly parts: ErrorParts;
  constructor(code: number, message: string, parts: ErrorParts = {}) {
    super(message);
    this.code = code;
    this.parts = parts;
  }
  body(): Obj {
    const { reason, details, metadata = {} } = this.parts;
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata,
      status: 'Failure',
      message: this.message,
      ...(reason === undefined ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code: this.code,
    };
  }
}

/** An error answered as text/plain, as unknown paths are. */
export class PlainError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

const qualified = (word: string, group: string): string => (group === '' ? word : `${word}.${group}`);
const details = (name: string, group: string, kind: string): Obj => ({
  ...(name === '' ? {} : { name }),
  ...(group === '' ? {} : { group }),
  ...(kind === '' ? {} : { kind }),
});

/** 400 with the message as it is. */
export const badRequest = (message: string): ApiError => new ApiError(400, message, { reason: 'BadRequest' });

/** 404 for one object. */
export const notFound = ({ plural, group }: Named, name: string): ApiError =>
  new ApiError(404, `${qualified(plural, group)} "${name}" not found`, {
    reason: 'NotFound',
    details: details(name, group, plural),
  });

/** 404 for a resource, version or subresource that a known group does not have. */
export const noSuchResource = (): ApiError =>
  new ApiError(404, 'the server could not find the requested resource', { reason: 'NotFound', details: {} });

/** 405 for a verb the resource does not have. */
export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'the server does not allow this method on the requested resource', {
    reason: 'MethodNotAllowed',
    details: {},
  });

/** 409 on create. */
export const alreadyExists = ({ plural, group }: Named, name: string, deleting: boolean): ApiError =>
  new ApiError(
    409,
    `${deleting ? 'object is being deleted: ' : ''}${qualified(plural, group)} "${name}" already exists`,
    {
      reason: 'AlreadyExists',
      details: details(name, group, plural),
    },
  );

/** 409 with the operator's words after "Operation cannot be fulfilled on …". */
export const conflict = (word: string, group: string, name: string, why: string): ApiError =>
  new ApiError(409, `Operation cannot be fulfilled on ${qualified(word, group)} "${name}": ${why}`, {
    reason: 'Conflict',
    details: details(name, group, word),
  });

/** 409 of optimistic locking. */
export const modified = ({ plural, group }: Named, name: string): ApiError =>
  conflict(
    plural,
    group,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );

/** 403 for a resource request; name '' when the request names no object. */
export const forbidden = (
  { plural, group }: Omit<Named, 'kind'>,
  name: string,
  why: string,
  extra: Obj = {},
): ApiError =>
  new ApiError(403, `${qualified(plural, group)}${name === '' ? '' : ` "${name}"`} is forbidden: ${why}`, {
    reason: 'Forbidden',
    details: { ...details(name, group, plural), ...extra },
  });

/** 422 listing every cause; equal causes are said once in the message. */
export function invalid(kind: string, group: string, name: string, causes: readonly Cause[]): ApiError {
  const lines = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))];
  const all = lines.length === 1 ? lines[0] : `[${lines.join(', ')}]`;
  return new ApiError(422, `${qualified(kind, group)} "${name}" is invalid: ${all}`, {
    reason: 'Invalid',
    details: { ...details(name, group, kind), causes },
  });
}

/** Cause "Required value". */
export const required = (field: string, why = ''): Cause => ({
  reason: 'FieldValueRequired',
  message: `Required value${why === '' ? '' : `: ${why}`}`,
  field,
});

/** Cause "Invalid value: <value as JSON>: why". */
export const badValue = (field: string, value: unknown, why: string): Cause => ({
  reason: 'FieldValueInvalid',
  message: `Invalid value: ${JSON.stringify(value ?? null)}: ${why}`,
  field,
});

/** Cause "Unsupported value". */
export const unsupported = (field: string, value: unknown, allowed: readonly unknown[]): Cause => ({
  reason: 'FieldValueNotSupported',
  message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${allowed.map((v) => JSON.stringify(v)).join(', ')}`,
  field,
});

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
