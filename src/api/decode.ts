/** True for a JSON object (not null, not a list). */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The same object with its own keys in lower case; of keys that differ only in case the last one counts, as in Go. */
export function withKeysInLowerCase(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]));
}

/** The UTF-8 text behind base64 of either alphabet, with or without padding; undefined for anything that is not whole. */
export function decodeBase64Url(text: string): string | undefined {
  return decodeBase64(text.replaceAll('-', '+').replaceAll('_', '/'));
}

/** The UTF-8 text behind standard base64, with or without padding; undefined for anything that is not whole. */
export function decodeBase64(text: string): string | undefined {
  const bytes = decodeBytes(text);
  if (bytes === undefined) return undefined;
  const plain = bytes.toString('utf8');
  return Buffer.from(plain, 'utf8').equals(bytes) ? plain : undefined;
}

/** The bytes behind standard base64, with or without padding; undefined for anything that is not whole. */
export function decodeBytes(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const bare = text.replaceAll('=', '');
  if (bare.length % 4 === 1 || (bare.length !== text.length && text.length % 4 !== 0)) return undefined;
  return Buffer.from(bare, 'base64');
}
