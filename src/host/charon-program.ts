import { accessSync, constants } from 'node:fs';
import { ExpectedError } from '../runtime/errors.ts';

/** Debian's name of the program; it stays in the foreground and needs no systemd. */
export const CHARON_PROGRAM = '/usr/sbin/charon-systemd';

/** What charon and its plugins are in. */
export const CHARON_PACKAGES =
  'charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins libstrongswan-extra-plugins';

/** Throws what the operator has to do when charon is not installed. */
export function assertInstalled(): void {
  try {
    accessSync(CHARON_PROGRAM, constants.X_OK);
  } catch (cause) {
    throw new ExpectedError(`${CHARON_PROGRAM} is not installed; the cable driver ipsec needs strongSwan`, {
      hint: `apt-get install -y ${CHARON_PACKAGES}`,
      cause,
    });
  }
}
