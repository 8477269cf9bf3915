/**
 * The file broker-info.subm, read from and written for upstream: URL-safe base64 with padding of compact JSON as Go's
 * encoder makes it. Keys are upstream's Go field names; like Go, the reader does not mind their case.
 */
import { decodeBase64, decodeBase64Url, decodeBytes, isObject, withKeysInLowerCase } from './decode.ts';
import { joinFileOfToken } from './joinfile.ts';
import { readToken } from './token.ts';

/** The parts of a core/v1 Secret the file carries; `data` values are standard base64. */
export interface InfoSecret {
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly creationTimestamp?: string | null;
    readonly [field: string]: unknown;
  };
  readonly data: Readonly<Record<string, string>>;
  readonly type?: string;
}

/** What a cluster needs to join. */
export interface BrokerInfo {
  /** The broker's API server, with scheme. */
  readonly brokerUrl: string;
  /** The service account token Secret of the broker's administrator: data token, ca.crt, namespace. */
  readonly clientToken: InfoSecret;
  /** data.psk: the pre-shared key of the ClusterSet. */
  readonly ipsecPsk: InfoSecret | undefined;
  readonly serviceDiscovery: boolean;
  readonly components: readonly string[];
  readonly customDomains: readonly string[];
}

/** How to reach the broker with the token in the file. */
export interface BrokerAccess {
  readonly server: string;
  readonly namespace: string;
  readonly token: string;
  /** PEM; undefined: the system's CAs. */
  readonly ca: string | undefined;
}

/** Either the content or why it cannot be used, with the next step. */
export type BrokerInfoResult =
  | { readonly info: BrokerInfo; readonly problem?: undefined }
  | { readonly info?: undefined; readonly problem: string; readonly hint: string };

const AGAIN =
  'Copy the file again from where subctl deploy-broker wrote it, or get a new one: subctl recover-broker-info.';

const RENEW = 'Get a new file: subctl recover-broker-info on the broker cluster.';

/** What helps somebody whose join file is of no use any more. */
export const NEW_JOIN_FILE = 'Get a new join file, from where broker-info.subm is: subctl broker-info create.';

function refuse(problem: string, hint = AGAIN): BrokerInfoResult {
  return { problem, hint };
}

/**
 * Reads the text of a broker-info.subm; never throws. `now` (milliseconds since the epoch) lets it recognise a token
 * that has expired.
 */
export function parseBrokerInfo(text: string, now?: number): BrokerInfoResult {
  const compact = text.replace(/^\uFEFF/, '').replaceAll(/\s+/g, '');
  if (compact === '') return refuse('it is empty');
  const foreign = describeForeign(text, compact);
  if (foreign !== undefined) return refuse(foreign);
  const json = decodeBase64Url(compact);
  if (json === undefined) return refuse('it is truncated or was edited: not whole base64');
  return parseJson(json, now);
}

/** The pre-shared key as raw bytes; undefined when the file carries none. */
export function pskOf(info: BrokerInfo): Buffer | undefined {
  const text = info.ipsecPsk?.data['psk'];
  return text === undefined ? undefined : Buffer.from(text, 'base64');
}

/** How to reach the broker with the token in the file. */
export function brokerAccessOf(info: BrokerInfo): BrokerAccess {
  const read = (key: string): string => Buffer.from(info.clientToken.data[key] ?? '', 'base64').toString('utf8');
  const ca = read('ca.crt');
  return { server: info.brokerUrl, namespace: read('namespace'), token: read('token'), ca: ca === '' ? undefined : ca };
}

/** The text of the file, one line without line feed, as upstream writes it. */
export function renderBrokerInfo(info: BrokerInfo): string {
  const { brokerUrl, clientToken, ipsecPsk, serviceDiscovery, components, customDomains } = info;
  const content = {
    brokerURL: brokerUrl,
    ClientToken: clientToken,
    ...(ipsecPsk === undefined ? {} : { IPSecPSK: ipsecPsk }),
    ServiceDiscovery: serviceDiscovery,
    ...(components.length === 0 ? {} : { Components: components.toSorted() }),
    CustomDomains: customDomains.length === 0 ? null : customDomains,
  };
  return toUrlSafe(Buffer.from(goJson(content)).toString('base64'));
}

function toUrlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_');
}

/** JSON as Go's encoder writes it: characters that mean something to HTML or JavaScript are escaped. */
function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Why a text cannot be the encoded file at all. */
function describeForeign(text: string, compact: string): string | undefined {
  if (text.includes('-----BEGIN')) return 'it is a certificate or key, not broker information';
  const strange = /[^A-Za-z0-9+/_=-]/.exec(compact);
  if (strange === null) return undefined;
  if (/^\s*[{[]/.test(text)) return 'it is plain JSON, not the encoded file';
  if (/^\s*(?:---|apiVersion:|kind:)/m.test(text))
    return 'it is YAML (a kubeconfig or manifest?), not broker information';
  return `it was edited or is another kind of file: unexpected character ${JSON.stringify(strange[0])}`;
}

function parseJson(json: string, now: number | undefined): BrokerInfoResult {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch {
    if (!json.trimStart().startsWith('{')) return refuse('it does not hold broker information');
    return refuse(json.trimEnd().endsWith('}') ? 'it was edited: its content is damaged' : 'it is truncated');
  }
  if (!isObject(parsed)) return refuse('it does not hold broker information');
  return readFields(withKeysInLowerCase(parsed), now);
}

function readFields(fields: Readonly<Record<string, unknown>>, now: number | undefined): BrokerInfoResult {
  const brokerUrl = readUrl(fields['brokerurl']);
  const clientToken = readSecret(fields['clienttoken']);
  const ipsecPsk = readSecret(fields['ipsecpsk']);
  const missing = [
    ...(brokerUrl === undefined ? ['brokerURL'] : []),
    ...(clientToken === undefined ? ['ClientToken'] : missingTokenParts(clientToken)),
    ...(ipsecPsk !== undefined && isBlank(ipsecPsk.data['psk']) ? ['IPSecPSK.data.psk'] : []),
  ];
  if (brokerUrl === undefined || clientToken === undefined || missing.length > 0) {
    return refuse(`it is not complete: missing or wrong: ${missing.join(', ')}`);
  }
  const expired = now === undefined ? undefined : expiryProblem(clientToken, now);
  if (expired !== undefined) return expired;
  const serviceDiscovery = fields['servicediscovery'] === true;
  const components = readStrings(fields['components']);
  const customDomains = readStrings(fields['customdomains']);
  return { info: { brokerUrl, clientToken, ipsecPsk, serviceDiscovery, components, customDomains } };
}

function isBlank(base64: string | undefined): boolean {
  return base64 === undefined || (decodeBytes(base64)?.length ?? 0) === 0;
}

function missingTokenParts(secret: InfoSecret): readonly string[] {
  const blank = ['token', 'namespace'].filter((key) => isBlank(secret.data[key]));
  // It becomes a header of every request.
  if (blank[0] !== 'token' && !/^[\x21-\x7e]+$/.test(decodeBase64(secret.data['token'] ?? '') ?? ''))
    blank.push('token');
  const ca = secret.data['ca.crt'];
  if (ca !== undefined && ca !== '' && !(decodeBase64(ca) ?? '').includes('-----BEGIN CERTIFICATE-----'))
    blank.push('ca.crt');
  return blank.map((key) => `ClientToken.data.${key}`);
}

function readUrl(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const text = value.includes('://') ? value : `https://${value}`;
  // Not in clear over a network: every request carries the token.
  const safe = /^https:\/\/|^http:\/\/(?:127\.|localhost\b|\[::1\])/.test(text);
  return safe && URL.canParse(text) ? text.replace(/\/+$/, '') : undefined;
}

function readSecret(value: unknown): InfoSecret | undefined {
  if (!isObject(value)) return undefined;
  const fields = withKeysInLowerCase(value);
  const { metadata, data, type } = fields;
  if (!isObject(data)) return undefined;
  const texts = Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    metadata: isObject(metadata) ? metadata : {},
    data: Object.fromEntries(texts),
    ...(typeof type === 'string' ? { type } : {}),
  };
}

function readStrings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** Tokens of Secrets have no end, requested ones do. */
function expiryProblem(secret: InfoSecret, now: number): BrokerInfoResult | undefined {
  const { expiresAtMs } = readToken(decodeBase64(secret.data['token'] ?? '') ?? '');
  if (expiresAtMs === undefined || expiresAtMs > now) return undefined;
  const hint = joinFileOfToken(secret) === undefined ? RENEW : NEW_JOIN_FILE;
  return refuse(`its token has expired (${new Date(expiresAtMs).toISOString()})`, hint);
}
