import { ExpectedError } from '../runtime/errors.ts';

/** What an API server answers to a request it refuses (meta/v1 Status). */
export interface KubeStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly name?: string;
    readonly group?: string;
    readonly kind?: string;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
    readonly retryAfterSeconds?: number;
  };
}

/** What was tried, for messages: `source` says where the credentials come from ("context east", "broker-info.subm"). */
export interface KubeAttempt {
  readonly server: string;
  readonly method: string;
  readonly path: string;
  readonly source?: string | undefined;
}

/** The API server answered with a status of 300 or more. */
export class KubeApiError extends ExpectedError {
  override readonly name = 'KubeApiError';
  /** The HTTP status. */
  readonly code: number;
  /** The machine-readable reason of the Status, e.g. NotFound, Conflict, AlreadyExists, Expired; '' when there is none. */
  readonly reason: string;
  readonly status: KubeStatus;
  readonly attempt: KubeAttempt;
  constructor(code: number, status: KubeStatus, attempt: KubeAttempt) {
    super(describeRefusal(code, status, attempt), hintOption(apiHint(code, attempt)));
    this.code = code;
    this.reason = status.reason ?? '';
    this.status = status;
    this.attempt = attempt;
  }
}

/** The API server could not be reached, or what answered was no API server. */
export class KubeConnectionError extends ExpectedError {
  override readonly name = 'KubeConnectionError';
  /** The system's error code, e.g. ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED, ETIMEDOUT. */
  readonly code: string;
  readonly attempt: KubeAttempt;
  constructor(cause: unknown, attempt: KubeAttempt) {
    const code = errorCode(cause);
    const { what, hint } = explainConnection(code, cause, attempt);
    super(`cannot reach the API server ${place(attempt)}: ${what} (tried ${attempt.method} ${attempt.path})`, {
      hint,
      cause,
    });
    this.code = code;
    this.attempt = attempt;
  }
}

/** True when the server said 404. */
export function isNotFound(error: unknown): boolean {
  return error instanceof KubeApiError && error.code === 404;
}

/** True for an optimistic-locking or server-side-apply conflict; false for AlreadyExists, which has the same HTTP status. */
export function isConflict(error: unknown): boolean {
  return error instanceof KubeApiError && error.code === 409 && error.reason !== 'AlreadyExists';
}

/** True when an object to be created is already there. */
export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeApiError && error.code === 409 && error.reason === 'AlreadyExists';
}

/** True when the credentials are good but lack a right. */
export function isForbidden(error: unknown): boolean {
  return error instanceof KubeApiError && error.code === 403;
}

/** True when the server does not accept the credentials. */
export function isUnauthorized(error: unknown): boolean {
  return error instanceof KubeApiError && error.code === 401;
}

/** True when a list or watch must start afresh: the resourceVersion is no longer known. */
export function isExpired(error: unknown): boolean {
  return error instanceof KubeApiError && (error.code === 410 || error.reason === 'Expired');
}

function hintOption(hint: string | undefined): { readonly hint?: string } {
  return hint === undefined ? {} : { hint };
}

function place(attempt: KubeAttempt): string {
  return attempt.source === undefined ? attempt.server : `${attempt.server} (${attempt.source})`;
}

function describeRefusal(code: number, status: KubeStatus, attempt: KubeAttempt): string {
  const said = status.message ?? status.reason ?? 'no reason given';
  const { method, path } = attempt;
  if (code === 401)
    return `the API server ${place(attempt)} does not accept the credentials (${method} ${path}: 401 ${said})`;
  return `the API server ${place(attempt)} refused ${method} ${path}: ${said} (${code})`;
}

function apiHint(code: number, attempt: KubeAttempt): string | undefined {
  if (code === 401) return 'The token or client certificate is wrong, expired or revoked: renew it and try again.';
  if (code === 403)
    return 'Use credentials with this right, or grant it: kubectl auth can-i --list shows what they may do.';
  if (code === 429) return 'The API server is overloaded: try again later.';
  if (code >= 500)
    return `Look at the health of the API server: kubectl --server ${attempt.server} get --raw /readyz?verbose`;
  return undefined;
}

function errorCode(cause: unknown): string {
  if (typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string')
    return cause.code;
  return cause instanceof Error ? cause.name : 'unknown';
}

const UNTRUSTED = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_GET_ISSUER_CERT',
  'CERT_SIGNATURE_FAILURE',
]);

/** True when a TLS connection failed because the server's certificate is not signed by a CA we were given. */
export function isUntrustedCertificate(cause: unknown): boolean {
  return UNTRUSTED.has(errorCode(cause));
}

interface Explanation {
  readonly what: string;
  readonly hint: string;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: { what: 'connection refused', hint: 'Is it running, and are host and port right?' },
  ENOTFOUND: { what: 'its host name does not resolve', hint: 'Check the host name and the DNS of this machine.' },
  EAI_AGAIN: { what: 'the DNS of this machine does not answer', hint: 'Check /etc/resolv.conf and the network.' },
  ETIMEDOUT: { what: 'no answer in time', hint: 'Check firewalls and routes between this machine and the server.' },
  EHOSTUNREACH: {
    what: 'no route to the host',
    hint: 'Check routes and firewalls between this machine and the server.',
  },
  ENETUNREACH: { what: 'the network is unreachable', hint: 'Check the routes of this machine.' },
  ECONNRESET: {
    what: 'the connection was reset',
    hint: 'Is a proxy or firewall in between? Is the server restarting?',
  },
  EPIPE: { what: 'the connection was closed', hint: 'Is the server restarting?' },
  EPROTO: { what: 'it does not speak TLS', hint: 'Is the port right? Is it an http:// address?' },
  ERR_SSL_WRONG_VERSION_NUMBER: { what: 'it does not speak TLS', hint: 'Is the port right? Is it an http:// address?' },
  CERT_HAS_EXPIRED: { what: 'its certificate has expired', hint: 'Renew the certificate of the API server.' },
  CERT_NOT_YET_VALID: {
    what: 'its certificate is not valid yet',
    hint: 'Compare the clocks of this machine and the server.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: 'its certificate is for another name',
    hint: 'Use a name or address that is in the certificate, or set tls-server-name.',
  },
  ENOENT: { what: 'its socket does not exist', hint: 'Is it running?' },
  ERR_PROXY_TUNNEL: {
    what: 'the proxy on the way to it cannot connect to it',
    hint: 'Is the API server running? Is the proxy right (proxy-url of the kubeconfig, HTTPS_PROXY, NO_PROXY)?',
  },
  EACCES: { what: 'permission denied', hint: 'Check the rights on the socket or file.' },
};

function explainConnection(code: string, cause: unknown, attempt: KubeAttempt): Explanation {
  const known = EXPLANATIONS[code];
  if (known !== undefined) return known;
  if (UNTRUSTED.has(code)) {
    return {
      what: `its certificate is not signed by a CA we trust (${code})`,
      hint: 'Check the CA given for this server; its certificate may have been replaced since.',
    };
  }
  if (code.startsWith('HPE_')) {
    return { what: 'what answers there does not speak HTTP', hint: 'Are host and port right?' };
  }
  const said = cause instanceof Error && cause.message !== '' ? cause.message : code;
  return { what: said, hint: `Try: curl -k ${attempt.server}/version` };
}
