/** Flags of uninstall. */
export interface UninstallOptions {
  /** Where the broker's own credentials are, when the member's do not do. */
  readonly brokerInfo?: string;
  readonly brokerContext?: string;
  readonly keepBroker: boolean;
  readonly force: boolean;
  /** Clean only these nodes, of a cluster that has left. */
  readonly nodes?: readonly string[];
  readonly repository?: string;
  readonly version?: string;
  readonly imageOverride?: readonly string[];
  readonly dryRun: boolean;
}
