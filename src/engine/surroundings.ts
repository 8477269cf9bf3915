import type { Gateway } from '../api/types.ts';
import type { Remotes } from './cables.ts';
import type { DriverChoice } from './driverchoice.ts';
import type { LocalGateway } from './local.ts';

/** All that the part of this gateway depends on besides the lease and the beats. */
export interface Surroundings {
  readonly local: LocalGateway;
  readonly endpoints: readonly unknown[];
  /** Gateway objects of the own cluster; undefined until they are known. */
  readonly gateways: readonly Gateway[] | undefined;
  readonly remotes: Remotes;
  readonly choice: Pick<DriverChoice, 'changing' | 'switching'>;
  /** Whether a gateway has its cable, by cable name: what comes from it before came another way. */
  readonly cabled: (cableName: string) => boolean;
}
