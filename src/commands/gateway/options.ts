/** Flags of `gateway move`. */
export interface MoveOptions {
  readonly to?: string;
}
