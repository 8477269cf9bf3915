/** Stands where a secret was. */
export const REDACTED = '##redacted##';

/** Takes secrets out of whatever is going to be archived. */
export interface Redactor {
  /** How many values were replaced so far. */
  readonly count: number;
  /** The same text without secrets. */
  text(text: string): string;
  /** A copy without secrets, managed fields and the copies of objects that kubectl keeps in annotations. */
  object(value: unknown): unknown;
}

/** Shorter ones would be found in half of all words. */
const MIN_SECRET = 6;
const SENSITIVE =
  '(?:token|password|passwd|passphrase|psk|private[-_.]?key|pre[-_.]?shared[-_.]?key|client[-_.]?key|api[-_.]?key)';
/** Names of fields and variables whose text is a secret; those that only name one (…Secret, …File) do not end so. */
const SENSITIVE_NAME = new RegExp(`${SENSITIVE}(?:[-_.]?data)?$`, 'i');
const DROPPED_ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';

const JWT = /\beyJ[\w-]{5,}\.eyJ[\w-]{5,}(?:\.[\w-]*)?/g;
const PRIVATE_KEY = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----(?:[A-Za-z0-9+/=\s]|\\[nr])*(?:-----END \1-----)?/g;
const AUTHORIZATION = /\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}/gi;
const URL_PASSWORD = /(\b[a-z][\w+.-]{0,20}:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/gi;
const ASSIGNMENT = new RegExp(`(?<![\\w.-])([\\w.-]*${SENSITIVE}["']?=["']?)[^\\s"'&,;]+`, 'gi');
const FIELD = new RegExp(`(?<![\\w.-])([\\w.-]*${SENSITIVE}["']?:\\s*["']?)[^\\s"',;}]{12,}`, 'gi');
const BASE64_RUN = /[A-Za-z0-9+/_-]{40,}={0,2}/g;
/** The same over several lines, as `base64` folds it. */
const FOLDED_BASE64 = /(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{40,}[ \t]*\r?\n[ \t]*)+[A-Za-z0-9+/_-]+={0,2}/g;
/** What is in broker-info.subm, kubeconfigs and Secrets. */
const SENSITIVE_CONTENT =
  /"(?:psk|token|clienttoken|ipsecpsk|client-key-data)"|client-key-data:|PRIVATE KEY-----|\beyJ[\w-]{5,}\.eyJ/i;

/** Whether a base64 text hides something sensitive, also when it was encoded several times. */
function hidesSecrets(text: string, depth = 3): boolean {
  const decoded = Buffer.from(text.replaceAll(/\s/g, ''), 'base64').toString('latin1');
  if (SENSITIVE_CONTENT.test(decoded)) return true;
  return depth > 1 && /^[\w+/=\s-]{40,}$/.test(decoded) && hidesSecrets(decoded, depth - 1);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** A secret in the forms in which it may turn up. */
function formsOf(secret: Buffer): readonly string[] {
  const base64 = secret.toString('base64');
  const text = secret.toString('utf8').trim();
  const forms = [base64, secret.toString('base64url'), secret.toString('hex'), Buffer.from(base64).toString('base64')];
  const printable = /^[\x20-\x7E]+$/.test(text) ? [text] : [];
  return [...forms.map((form) => form.replace(/=+$/, '')), ...printable].filter((form) => form.length >= MIN_SECRET);
}

/** A redactor that knows these secrets by value, and the rest by their looks and by the names of their fields. */
export function createRedactor(secrets: readonly Buffer[]): Redactor {
  const forms = [...new Set(secrets.filter(({ length }) => length >= MIN_SECRET).flatMap(formsOf))];
  const known =
    forms.length === 0
      ? undefined
      : new RegExp(
          forms
            .toSorted((a, b) => b.length - a.length)
            .map(escaped)
            .join('|'),
          'g',
        );
  return new PatternRedactor(known);
}

type Fields = Readonly<Record<string, unknown>>;

class PatternRedactor implements Redactor {
  readonly #known: RegExp | undefined;
  #count = 0;

  constructor(known: RegExp | undefined) {
    this.#known = known;
  }

  get count(): number {
    return this.#count;
  }

  text(text: string): string {
    let clean = text;
    const replace = (pattern: RegExp, isSecret: (found: string) => boolean = () => true): void => {
      clean = clean.replaceAll(pattern, (found: string, ...groups: readonly unknown[]) => {
        if (found.includes(REDACTED) || !isSecret(found)) return found;
        this.#count += 1;
        const [kept] = groups;
        return typeof kept === 'string' && found.startsWith(kept) ? `${kept}${REDACTED}` : REDACTED;
      });
    };
    if (this.#known !== undefined) replace(this.#known);
    replace(PRIVATE_KEY);
    replace(FOLDED_BASE64, hidesSecrets);
    replace(BASE64_RUN, hidesSecrets);
    replace(JWT);
    for (const pattern of [AUTHORIZATION, URL_PASSWORD, ASSIGNMENT, FIELD]) replace(pattern);
    return clean;
  }

  object(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.object(item));
    if (typeof value !== 'object' || value === null) return value;
    const fields = value as Fields;
    const entries = Object.entries(fields)
      .filter(([key]) => key !== 'managedFields' && key !== DROPPED_ANNOTATION)
      .map(([key, inner]) => [key, this.#field(fields, key, inner)] as const);
    return Object.fromEntries(entries);
  }

  #field(owner: Fields, key: string, value: unknown): unknown {
    if (owner['kind'] === 'Secret' && (key === 'data' || key === 'stringData')) return this.#sizes(value);
    const name = key === 'value' && typeof owner['name'] === 'string' ? owner['name'] : key;
    if (typeof value === 'string' && value !== '' && SENSITIVE_NAME.test(name)) return this.#hidden();
    return this.object(value);
  }

  /** Which keys a Secret has is worth knowing, and whether they are empty. */
  #sizes(data: unknown): unknown {
    if (typeof data !== 'object' || data === null) return data;
    const sizeOf = (value: unknown): number => Buffer.from(String(value), 'base64').length;
    return Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, `${this.#hidden()} (${sizeOf(value)} bytes)`]),
    );
  }

  #hidden(): string {
    this.#count += 1;
    return REDACTED;
  }
}
