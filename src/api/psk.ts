/** What gateways say of the pre-shared keys they have. Pure. */
import { isObject } from './decode.ts';
import type { Gateway } from './types.ts';

/** Annotation of a Gateway: fingerprints of the keys that are in force. */
export const PSK_ANNOTATION = 'gateway.submariner.io/psk';

/** Fingerprints of the key a gateway uses and of those it accepts besides. */
export interface KeysInForce {
  readonly used: string;
  readonly accepted: readonly string[];
}

const DIGITS = 16;

/** The short form of a key's SHA-256 (hexadecimal), which tells nothing about 48 random bytes. */
export function fingerprintOf(sha256: string): string {
  return sha256.slice(0, DIGITS);
}

/** The keys in force at a gateway; undefined when it does not say, as those of other programs. */
export function keysInForce({ metadata }: Pick<Gateway, 'metadata'>): KeysInForce | undefined {
  const text = metadata.annotations?.[PSK_ANNOTATION];
  if (text === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    if (!isObject(parsed) || typeof parsed['used'] !== 'string' || !Array.isArray(parsed['accepted'])) return undefined;
    return {
      used: parsed['used'],
      accepted: parsed['accepted'].filter((one): one is string => typeof one === 'string'),
    };
  } catch {
    return undefined;
  }
}
