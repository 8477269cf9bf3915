import type { DaemonName } from '../../api/daemonstate.ts';
import type { ResourceType } from '../../kube/client.ts';

/** Says what an archive is; the number grows when older readers would misunderstand it. */
export const FORMAT = { format: 'subctl-gather', formatVersion: 1 } as const;

/** The file that makes an archive ours. */
export const INDEX_FILE = 'index.json';
/** The same for people. */
export const PAGE_FILE = 'README.md';

/** A file of a cluster. */
export interface ArchivedFile {
  /** Below the directory of the cluster. */
  readonly path: string;
  /** What it is, in a few words. */
  readonly what: string;
  readonly bytes: number;
}

/** What could not be had. */
export interface GatherFailure {
  readonly collector: string;
  readonly message: string;
}

/** One cluster in an archive. */
export interface ArchivedCluster {
  /** Name of the cluster in the kubeconfig, and the context it was looked at with. */
  readonly cluster: string;
  readonly context: string;
  readonly server: string;
  /** ID in the ClusterSet; null for a cluster that has not joined. */
  readonly clusterId: string | null;
  /** Below that of the archive. */
  readonly directory: string;
  readonly files: readonly ArchivedFile[];
  readonly failures: readonly GatherFailure[];
}

/** The index of an archive. */
export interface ArchiveIndex {
  readonly format: typeof FORMAT.format;
  readonly formatVersion: number;
  /** Of subctl. */
  readonly version: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly clusters: readonly ArchivedCluster[];
  /** Clusters that could not be looked at. */
  readonly problems: readonly { readonly cluster: string; readonly context: string; readonly message: string }[];
  /** How many secret values were replaced. */
  readonly redacted: number;
}

/** All objects of a kind that were read, as a YAML stream. */
export function objectsPath({ group, plural }: Pick<ResourceType, 'group' | 'plural'>): string {
  return `resources/${plural}${group === '' ? '' : `.${group}`}.yaml`;
}

/** What a daemon of a node said of itself. */
export function statePath(node: string, daemon: DaemonName): string {
  return `state/${node}/${daemon}.json`;
}

/** The log of a container. */
export function logPath(pod: string, container: string, previous: boolean): string {
  return `logs/${pod}/${container}${previous ? '.previous' : ''}.log`;
}
