import type { KubeObject } from '../../kube/client.ts';
import type { ConfigMap, DaemonSet, Node, Pod } from '../../kube/objects.ts';

/** A custom resource of a CNI or distribution, of which only the spec is read, and not trusted. */
export interface ForeignObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** Everything discovery looks at, fetched once. What could not be read is empty, and `problems` says why. */
export interface ClusterObjects {
  readonly nodes: readonly Node[];
  /** Pods of the namespaces where control planes and CNIs live. */
  readonly pods: readonly Pod[];
  readonly daemonSets: readonly DaemonSet[];
  readonly configMaps: readonly ConfigMap[];
  readonly serviceCidrs: readonly ForeignObject[];
  readonly calicoPools: readonly ForeignObject[];
  readonly ciliumNodes: readonly ForeignObject[];
  /** config.openshift.io/v1 Network `cluster`. */
  readonly openshiftNetwork: ForeignObject | undefined;
  /** What the API server answered to a Service with a cluster IP that no cluster has (a dry run). */
  readonly invalidServiceMessage: string | undefined;
  readonly problems: readonly string[];
}

/** One CIDR and where it was read, in words an operator can check. */
export interface FoundCidr {
  readonly cidr: string;
  readonly source: string;
}

/** What one source knows. */
export interface Finding {
  readonly pods: readonly FoundCidr[];
  readonly services: readonly FoundCidr[];
  /** The CNI, in upstream's spelling, when the source identifies it. */
  readonly plugin?: string;
  readonly problems?: readonly string[];
}

/** One file per source exports one of these; pure. */
export type DiscoverySource = (objects: ClusterObjects) => Finding;

export const NOTHING: Finding = { pods: [], services: [] };

/** The CIDRs of a list in text form (comma or blank separated), canonical; what is no CIDR is left out. */
export function cidrsOf(
  canonical: (text: string) => string | undefined,
  text: unknown,
  source: string,
): readonly FoundCidr[] {
  if (typeof text !== 'string') return [];
  return text
    .split(/[\s,]+/)
    .map((part) => canonical(part.trim()))
    .filter((cidr) => cidr !== undefined)
    .map((cidr) => ({ cidr, source }));
}

/** The ConfigMap of a name, wherever it is. */
export function configMapNamed(objects: ClusterObjects, ...names: readonly string[]): ConfigMap | undefined {
  return objects.configMaps.find(({ metadata }) => names.includes(metadata.name ?? ''));
}

/** An environment variable of any container of a DaemonSet. */
export function daemonSetEnv(daemonSet: DaemonSet, name: string): string | undefined {
  const containers = [
    ...(daemonSet.spec.template.spec.initContainers ?? []),
    ...daemonSet.spec.template.spec.containers,
  ];
  return containers.flatMap(({ env }) => env ?? []).find((variable) => variable.name === name)?.value;
}
