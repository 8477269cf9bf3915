import type { ImageOptions } from '../join/images.ts';

/** Flags of upgrade. */
export interface UpgradeOptions extends Omit<ImageOptions, 'version'> {
  readonly toVersion?: string;
  readonly dryRun: boolean;
  /** Undo an upgrade that was interrupted. */
  readonly rollback: boolean;
  /** Although another subctl changes the cluster. */
  readonly force: boolean;
  /** Also objects that another tool applies. */
  readonly takeOver: boolean;
}
