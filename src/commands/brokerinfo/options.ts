/** Flags of `broker-info create`. */
export interface CreateOptions {
  readonly from: string;
  /** Milliseconds. */
  readonly expires: number;
  readonly clusterid?: string;
  readonly file?: string;
}

/** Flags of `broker-info list` and `revoke`. */
export interface FromOptions {
  readonly from: string;
}
