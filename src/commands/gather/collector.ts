import type { Submariner } from '../../api/types.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import type { ClusterAccess, KubeAccess } from '../access.ts';

/** What kinds of things are gathered. */
export const GATHER_TYPES = ['resources', 'logs', 'state'] as const;
export type GatherType = (typeof GATHER_TYPES)[number];

/** What the operator wants in the archive. */
export interface GatherWishes {
  readonly types: readonly GatherType[];
  /** Logs and states of these nodes only; undefined: of all. */
  readonly nodes: readonly string[] | undefined;
  /** Last lines of each log. */
  readonly logLines: number;
  /** Pods, Services and policies of all namespaces, not only of ours. */
  readonly workloads: boolean;
}

/** What a collector works with. */
export interface Collecting {
  readonly cluster: ClusterAccess;
  readonly client: KubeClient;
  /** What join recorded; undefined for a cluster that has not joined or does not tell. */
  readonly submariner: Submariner | undefined;
  /** Secrets of our namespaces that could be read. */
  readonly secrets: readonly Secret[];
  /** Namespaces in which a broker is. */
  readonly brokerNamespaces: readonly string[];
  readonly broker: KubeAccess['broker'];
  readonly wishes: GatherWishes;
  /** Aborted when time is up. */
  readonly signal: AbortSignal;
  /** Adds a text file; secrets are taken out of it. */
  write(path: string, what: string, text: string): Promise<void>;
  /** Adds a JSON file; secrets are taken out of it. */
  writeJson(path: string, what: string, value: unknown): Promise<void>;
  /** Adds a file with objects, as a YAML stream; secrets are taken out of them. */
  writeYaml(path: string, what: string, objects: readonly KubeObject[]): Promise<void>;
  /** Notes what could not be had. */
  fail(message: string): void;
}

/** Something that is gathered of each cluster; a part that fails is noted and does not stop the others. */
export interface Collector {
  readonly name: string;
  readonly type: GatherType;
  readonly collect: (collecting: Collecting) => Promise<void>;
}
