import { createHash } from 'node:crypto';

/** On the Broker object: the fingerprint of the pre-shared key handed out, so that a file with another key is noticed. Absent on upstream's brokers. */
export const PSK_FINGERPRINT_ANNOTATION = 'subctl.submariner.io/psk-sha256';

/** SHA-256 of the key's bytes in hexadecimal digits; keys are 48 random bytes, so it tells nothing about them. */
export function pskFingerprint(psk: Buffer): string {
  return createHash('sha256').update(psk).digest('hex');
}
