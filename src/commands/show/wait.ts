import type { CommandRun } from '../context.ts';
import { startDeadline, waitFor } from '../waiting.ts';
import { readClusters } from './clusters.ts';
import { type ConnectionItem, readConnections, readGateways } from './connections.ts';
import { silence } from './freshness.ts';
import { type LoopResult, overClusters } from './loop.ts';
import type { ShownCluster } from './view.ts';

const DEFAULT_TIMEOUT_MS = 60_000;

/** What one cluster reports about its connections. */
export interface ConnectionReport {
  readonly clusterId: string;
  /** Address and namespace of its broker: clusters of one broker have to be connected. */
  readonly broker: string;
  /** IDs of the other clusters it knows of. */
  readonly known: readonly string[];
  readonly connections: readonly ConnectionItem[];
  /** Whether probes are sent. */
  readonly probed: boolean;
  /** What its gateways say is wrong. */
  readonly failures: readonly string[];
}

/** Why clusters are not all connected yet, one sentence each; empty when they are. */
export function missingConnections(reports: readonly ConnectionReport[]): readonly string[] {
  return reports.flatMap((report) => {
    const others = reports.filter(
      ({ broker, clusterId }) => broker === report.broker && clusterId !== report.clusterId,
    );
    const expected = [...new Set([...report.known, ...others.map(({ clusterId }) => clusterId)])].sort();
    if (expected.length === 0) return [`${report.clusterId} knows of no other cluster yet`];
    return expected.flatMap((remote) => missingConnection(report, remote));
  });
}

function missingConnection(report: ConnectionReport, remote: string): readonly string[] {
  const pair = `${report.clusterId} -> ${remote}`;
  const connections = report.connections.filter(({ remoteCluster }) => remoteCluster === remote);
  if (connections.length === 0) {
    const why = report.failures.length > 0 ? report.failures.join('; ') : 'no gateway reports it';
    return [`${pair}: no connection (${why})`];
  }
  const good = connections.some(({ status, rtt }) => status === 'connected' && (rtt !== null || !report.probed));
  if (good) return [];
  return connections.map(({ status, message }) => {
    if (status === 'connected') return `${pair}: connected, but no probe has come back yet`;
    return `${pair}: ${status}${message === '' ? '' : ` (${message})`}`;
  });
}

async function readReport(cluster: ShownCluster): Promise<ConnectionReport | undefined> {
  const { submariner, clusterId } = cluster;
  if (submariner === undefined) return undefined;
  const [known, connections, gateways] = await Promise.all([
    readClusters(cluster),
    readConnections(cluster),
    readGateways(cluster),
  ]);
  const { brokerK8sApiServer, brokerK8sRemoteNamespace, connectionHealthCheck } = submariner.spec;
  return {
    clusterId,
    broker: `${brokerK8sApiServer} ${brokerK8sRemoteNamespace}`,
    known: known.map((item) => item.clusterId).filter((id) => id !== clusterId),
    connections,
    probed: connectionHealthCheck?.enabled !== false,
    failures: gateways
      .map((gateway) => silence(gateway, cluster.nowMs) ?? gateway.status.statusFailure)
      .filter((text) => text !== ''),
  };
}

/** Waits until every cluster is connected to every other it knows of, with probes coming back; rejects naming what is missing and why. */
export async function waitForConnections(run: CommandRun): Promise<void> {
  const deadline = startDeadline(run.context.clock, run.flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  await run.reporter.step('Waiting for connections', async (step) => {
    await waitFor({
      deadline,
      what: 'connections',
      hint: 'subctl show gateways -o wide and subctl show connections -o wide tell more.',
      onPending: step.update,
      look: async () => {
        const missing = missingIn(await overClusters(run, readReport));
        return missing.length === 0 ? { done: true } : { pending: missing.join('; ') };
      },
    });
    step.done('All clusters are connected');
  });
}

function missingIn({ results, problems }: LoopResult<ConnectionReport | undefined>): readonly string[] {
  const reports = results.map(({ value }) => value).filter((report) => report !== undefined);
  const unreachable = problems.map(({ context, message }) => `context ${context}: ${message}`);
  if (reports.length === 0 && unreachable.length === 0) return ['no cluster of the kubeconfig has joined'];
  return [...unreachable, ...missingConnections(reports)];
}
