/** Flags of `credentials rotate`. */
export interface RotateOptions {
  readonly brokerToken: boolean;
  readonly psk: boolean;
  readonly brokerInfo: string;
  /** Milliseconds. */
  readonly expires?: number;
}

/** Flags of `credentials revoke`. */
export interface RevokeOptions {
  readonly brokerInfo: string;
}
