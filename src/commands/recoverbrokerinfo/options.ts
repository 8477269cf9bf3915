/** Flags of recover-broker-info. */
export interface RecoverOptions {
  readonly brokerUrl?: string;
  readonly brokerContext?: string;
}
