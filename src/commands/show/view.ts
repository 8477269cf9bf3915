import type { Submariner } from '../../api/types.ts';
import type { ClusterAccess } from '../access.ts';
import { type Column, renderTable } from '../output.ts';

/** One cluster that is looked at. */
export interface ShownCluster extends ClusterAccess {
  /** What join recorded; undefined when the cluster has not joined. */
  readonly submariner: Submariner | undefined;
  /** ID in the ClusterSet, else the name in the kubeconfig. */
  readonly clusterId: string;
  /** When the look began, in milliseconds since the epoch. */
  readonly nowMs: number;
}

/** What a view found in one cluster, ready to be printed in any format. */
export interface Shown {
  readonly items: readonly object[];
  readonly names: readonly string[];
  readonly table: (wide: boolean) => string;
  /** What the narrow table has no room for, one sentence each. */
  readonly notes: readonly string[];
}

/** One `subctl show` subcommand. */
export interface View {
  readonly name: string;
  readonly summary: string;
  /** Whether it makes sense only in a cluster that has joined. */
  readonly joinedOnly: boolean;
  /** Printed instead of an empty table. */
  readonly empty: string;
  /** Whether an empty result makes the command fail when it is asked for by name, as upstream does for connections. */
  readonly emptyIsFailure: boolean;
  readonly read: (cluster: ShownCluster) => Promise<Shown>;
}

/** Items with their columns, whose type is known only here. */
export function shown<T extends object>(
  items: readonly T[],
  columns: readonly Column<T>[],
  name: (item: T) => string,
  note: (item: T) => string | undefined = () => undefined,
): Shown {
  const notes = items.flatMap((item) => note(item) ?? []);
  return { items, names: items.map(name), table: (wide) => renderTable(columns, items, wide), notes };
}
