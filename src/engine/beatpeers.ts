import type { ClusterGateways } from '../api/gateways.ts';
import type { EndpointSpec } from '../api/types.ts';
import type { Remote, Remotes } from './cables.ts';
import type { EngineConfig } from './config.ts';
import { chooseGateway } from './ha/choose.ts';
import type { BeatPeer } from './ha/peering.ts';
import type { PeerReport } from './ha/report.ts';
import { FAST, SLOW, type Pace } from './ha/sessions.ts';

/** Whom a gateway exchanges beats with. */
export interface BeatScope {
  /** `beatIntervalMs`: where a gateway stands by. */
  readonly config: Pick<EngineConfig, 'clusterId' | 'beatIntervalMs'>;
  /** This gateway. */
  readonly spec: EndpointSpec;
  /** What the own cluster announces. */
  readonly announced: ClusterGateways | undefined;
  readonly remotes: Pick<Remotes, 'accepted'>;
  /** Whether a gateway has its cable, by cable name. */
  readonly cabled: (cableName: string) => boolean;
}

/** So many beats may be lost in a row. */
const PATIENCE_BEATS = FAST.timeoutMs / FAST.intervalMs;

/**
 * The other gateways of the own cluster, and those of clusters that announce theirs, as soon as they have their cables:
 * beats would come and go through other ones, and prove nothing. Nobody for a gateway that is not announced itself, as it
 * would not be answered. Pure.
 */
export function beatPeers({
  config,
  spec: self,
  announced,
  remotes: { accepted: remotes },
  cabled,
}: BeatScope): readonly BeatPeer[] {
  const { clusterId, beatIntervalMs: intervalMs } = config;
  const { cable_name: cableName, backend: path } = self;
  const fast: Pace = { intervalMs, timeoutMs: intervalMs * PATIENCE_BEATS };
  const own = announced?.gateways ?? [];
  if (!own.some(({ spec }) => spec.cable_name === cableName)) return [];
  const ours = own
    .filter(({ spec }) => spec.cable_name !== cableName)
    .map(({ spec }): BeatPeer => ({ cableName: spec.cable_name, clusterId, address: spec.private_ip, ...fast }));
  const theirs = remotes.flatMap(({ announced: known, spec }): readonly BeatPeer[] => {
    const { cable_name: name, cluster_id: id, healthCheckIP: address } = spec;
    if (!known || !cabled(name) || address === undefined || address === '') return [];
    const standbys = own.length > 1 || remotes.filter((one) => one.spec.cluster_id === id).length > 1;
    return [{ cableName: name, clusterId: id, address, path, ...(standbys ? fast : SLOW) }];
  });
  return [...ours, ...theirs];
}

/** While all gateways change their driver, whom other clusters do not hear tells nothing. Pure. */
export function witnesses(reports: readonly PeerReport[], clusterId: string, changing: boolean): readonly PeerReport[] {
  return changing ? reports.filter((report) => report.clusterId === clusterId) : reports;
}

/** What tells through which gateways packets go. */
export interface ChoiceInput {
  readonly report: (cableName: string) => PeerReport | undefined;
  /** Whether a gateway has its cable, by cable name; nobody else is chosen for what is heard. */
  readonly cabled: (cableName: string) => boolean;
  /** What was chosen last. */
  readonly before: ReadonlyMap<string, string>;
  readonly nowMs: number;
}

/** For each other cluster the cable_name of the gateway its packets go to. Pure. */
export function chooseGateways(
  remotes: readonly Remote[],
  { report: heard, cabled, before, nowMs }: ChoiceInput,
): ReadonlyMap<string, string> {
  const report = (name: string): PeerReport | undefined => (cabled(name) ? heard(name) : undefined);
  const current = remotes.filter((remote) => remote.current);
  return new Map(
    current.map(({ spec: { cluster_id: id, cable_name: endpoint } }) => {
      const announced = remotes.filter((one) => one.announced && one.spec.cluster_id === id);
      const last = before.get(id);
      const view = { endpoint, announced: announced.map(({ spec }) => spec.cable_name), report, nowMs };
      return [id, chooseGateway({ ...view, ...(last === undefined ? {} : { current: last }) })];
    }),
  );
}
