import { printable } from '../../output.ts';
import { COLOURS, NEUTRAL } from './colours.ts';
import { cableLabel, type CableEnd, type Topology, type TopologyCable, type TopologyCluster } from './model.ts';

/** A quoted ID of the DOT language. */
function quoted(text: string): string {
  return `"${printable(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** A label of several lines. */
function label(...lines: readonly string[]): string {
  return quoted(lines.filter((line) => line !== '').join('\u2028')).replaceAll('\u2028', '\\n');
}

const nodeName = ({ cluster, gateway }: CableEnd): string => quoted(`${cluster}/${gateway}`);

function clusterGraph({ id, context, joined, gateways }: TopologyCluster): string {
  const style = context === null ? 'rounded,dashed' : 'rounded';
  const empty = `    ${nodeName({ cluster: id, gateway: '' })} [label=${label(joined ? 'no gateway' : 'has not joined')}, shape=plaintext];\n`;
  const nodes = gateways.map(({ node, haStatus, failure }) => {
    const colour = failure !== '' ? COLOURS.error : haStatus === 'active' ? COLOURS.connected : NEUTRAL;
    return `    ${nodeName({ cluster: id, gateway: node })} [label=${label(node, haStatus)}, color="${colour}"];\n`;
  });
  return `  subgraph ${quoted(`cluster_${id}`)} {\n    label=${label(id)};\n    style="${style}";\n${nodes.join('') || empty}  }\n`;
}

function edge(cable: TopologyCable, clusters: readonly TopologyCluster[]): string {
  const { from, to, health, message } = cable;
  const end = ({ cluster, gateway }: CableEnd): CableEnd => ({
    cluster,
    gateway: gateway === '' ? (clusters.find(({ id }) => id === cluster)?.gateways[0]?.node ?? '') : gateway,
  });
  const style = health === 'connected' ? 'solid' : 'dashed';
  const words = [
    `label=${label(cableLabel(cable))}`,
    `color="${COLOURS[health]}"`,
    `fontcolor="${COLOURS[health]}"`,
    `style=${style}`,
    ...(message === '' ? [] : [`tooltip=${quoted(message)}`]),
  ];
  return `  ${nodeName(end(from))} -- ${nodeName(end(to))} [${words.join(', ')}];\n`;
}

/** The topology in the DOT language of Graphviz. */
export function renderDot({ clusters, cables }: Topology): string {
  const head =
    '  graph [fontname="sans-serif"];\n  node [shape=box, style=rounded, fontname="sans-serif"];\n  edge [fontname="sans-serif", penwidth=2];\n';
  return `graph clusterset {\n${head}${clusters.map(clusterGraph).join('')}${cables.map((cable) => edge(cable, clusters)).join('')}}\n`;
}
