import type { PeerFlags } from '../peers/flags.ts';

/** Flags of `subctl verify`; times in milliseconds. */
export interface VerifyOptions extends PeerFlags {
  readonly only?: readonly string[];
  readonly junit?: string;
  readonly junitReport?: string;
  readonly disruptive: boolean;
  readonly disruptiveTests: boolean;
  readonly packetSize: number;
  readonly connectionTimeout: number;
  readonly connectionAttempts: number;
  readonly maxOutage: number;
  readonly namespace?: string;
  readonly evidence?: string;
}
