import { describeFault } from '../../sandbox/fabric/fault-text.ts';
import type { ClusterStatus, NodeStatus, SandboxStatus } from '../../sandbox/lifecycle/status.ts';
import { renderTable, type Column } from '../output.ts';

interface Line extends NodeStatus {
  readonly cluster: string;
}

const COLUMNS: readonly Column<Line>[] = [
  { header: 'CLUSTER', value: (line) => line.cluster },
  { header: 'NODE', value: (line) => line.name },
  { header: 'STATE', value: (line) => line.state },
  { header: 'READY', value: (line) => line.ready },
  { header: 'GATEWAY', value: (line) => line.gateway },
  { header: 'ADDRESS', value: (line) => line.address },
  { header: 'PODS', value: (line) => line.podCidr, wideOnly: true },
];

function clusterText(cluster: ClusterStatus): string {
  const { name, server, podCidr, serviceCidr, pods, problem } = cluster;
  const state = problem === undefined ? `${pods.ready} of ${pods.total} pods ready` : `API server: ${problem}`;
  return `${name}: ${server}, pods ${podCidr}, Services ${serviceCidr}, ${state}\n`;
}

/** The state of a sandbox for people. */
export function renderStatus(status: SandboxStatus, wide: boolean): string {
  const lines = status.clusters.flatMap((cluster) => cluster.nodes.map((node) => ({ ...node, cluster: cluster.name })));
  const faults = status.faults.map((fault) => `Fault: ${describeFault(fault)}\n`);
  return `${status.clusters.map(clusterText).join('')}\n${renderTable(COLUMNS, lines, wide)}${faults.join('')}`;
}
