/** Flags of diff. */
export interface DiffOptions {
  /** Where the broker's own credentials are, when the member's do not do. */
  readonly brokerInfo?: string;
  readonly brokerContext?: string;
  readonly onlyCluster: boolean;
}
