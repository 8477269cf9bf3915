import { Chalk } from 'chalk';
import { ExpectedError } from '../../../runtime/errors.ts';
import type { CommandRun } from '../../context.ts';
import { renderStructured } from '../../output.ts';
import { colourAllowed } from '../../terminal.ts';
import { readClusters } from '../clusters.ts';
import { readConnections, readGateways } from '../connections.ts';
import { overClusters } from '../loop.ts';
import { reportProblems } from '../run.ts';
import type { ShownCluster } from '../view.ts';
import { renderDot } from './dot.ts';
import { buildTopology, type ClusterReport, type Topology } from './model.ts';
import { renderSvg } from './svg.ts';
import { renderText, type Paint } from './text.ts';

/** Forms of a topology. */
export const TOPOLOGY_FORMATS = ['text', 'dot', 'svg', 'json', 'yaml', 'name'] as const;
export type TopologyFormat = (typeof TOPOLOGY_FORMATS)[number];

/** What a cluster says of itself and of the set. */
export async function readReport(cluster: ShownCluster): Promise<ClusterReport> {
  const { clusterId, name: context, nowMs } = cluster;
  if (cluster.submariner === undefined) {
    return { clusterId, context, nowMs, joined: false, gateways: [], connections: [], known: [] };
  }
  const [gateways, connections, known] = await Promise.all([
    readGateways(cluster),
    readConnections(cluster),
    readClusters(cluster),
  ]);
  return { clusterId, context, nowMs, joined: true, gateways, connections, known };
}

/** Colours by health, or none where none may be. */
export function painter({ context }: CommandRun): Paint {
  const chalk = new Chalk({ level: colourAllowed(context.terminal.stdout, context.env) ? 1 : 0 });
  const colours = { connected: chalk.green, connecting: chalk.yellow, error: chalk.red, missing: chalk.red };
  return (health, text) => colours[health](text);
}

/** A line for each cable, as -o name prints it. */
export function namesIn({ cables }: Topology): string {
  const ends = cables.filter(({ health }) => health !== 'missing');
  return ends.map(({ from, to }) => `cable/${from.cluster}/${from.gateway}/${to.cluster}/${to.gateway}\n`).join('');
}

/** `subctl show topology`: the clusters of the set, their gateways and the cables between them, in one form or another. */
export async function showTopology(run: CommandRun, format: TopologyFormat): Promise<void> {
  const { results, problems } = await overClusters(run, readReport);
  const topology = buildTopology(results.map(({ value }) => value));
  const renderers: Readonly<Record<TopologyFormat, () => string | Promise<string>>> = {
    text: () => renderText(topology, run.context.terminal.stdout.columns ?? 100, painter(run)),
    dot: () => renderDot(topology),
    svg: () => renderSvg(topology),
    json: async () => renderStructured({ ...topology, problems }, 'json'),
    yaml: async () => renderStructured({ ...topology, problems }, 'yaml'),
    name: () => namesIn(topology),
  };
  run.print(await renderers[format]());
  reportProblems(run, problems);
  if (problems.length === 0) return;
  throw new ExpectedError(`${problems.length} of ${results.length + problems.length} clusters could not be looked at`, {
    hint: 'Choose the clusters to look at with --context or --contexts.',
  });
}
