import { printable } from '../../output.ts';
import {
  cableLabel,
  type CableEnd,
  type Health,
  type Topology,
  type TopologyCable,
  type TopologyCluster,
} from './model.ts';

/** Colours a piece of text by health. */
export type Paint = (health: Health, text: string) => string;

const SIGNS: Readonly<Record<Health, string>> = { connected: '✓', connecting: '…', error: '✗', missing: '✗' };
const GAP = '   ';

interface Line {
  readonly plain: string;
  readonly health: Health | undefined;
}

function clusterLines({ gateways, joined, context }: TopologyCluster): readonly Line[] {
  if (!joined) return [{ plain: 'has not joined', health: 'error' }];
  if (gateways.length === 0) {
    return [
      { plain: context === null ? 'not looked at' : 'no gateway', health: context === null ? undefined : 'error' },
    ];
  }
  const widest = Math.max(...gateways.map(({ node }) => node.length));
  const status = Math.max(...gateways.map(({ haStatus }) => haStatus.length));
  return gateways.map(({ node, haStatus, privateIP, failure }) => {
    const sign = failure !== '' ? '✗' : haStatus === 'active' ? '●' : '○';
    const words = [`${sign} ${node.padEnd(widest)}`, haStatus.padEnd(status), privateIP].filter((word) => word !== '');
    return {
      plain: printable(words.join('  ').trimEnd()),
      health: failure !== '' ? 'error' : haStatus === 'active' ? 'connected' : undefined,
    };
  });
}

/** A box with the name of the cluster in its upper edge; all its lines are equally wide. */
function box(cluster: TopologyCluster, height: number, paint: Paint): readonly string[] {
  const lines = clusterLines(cluster);
  const title = ` ${printable(cluster.id)} `;
  const width = Math.max(title.length, ...lines.map(({ plain }) => plain.length));
  const inner = [...lines, ...Array.from({ length: height - lines.length }, () => ({ plain: '', health: undefined }))];
  return [
    `┌${title}${'─'.repeat(width + 2 - title.length)}┐`,
    ...inner.map(({ plain, health }) => {
      const text = plain.padEnd(width);
      return `│ ${health === undefined ? text : paint(health, text)} │`;
    }),
    `└${'─'.repeat(width + 2)}┘`,
  ];
}

function widthOf(cluster: TopologyCluster): number {
  return Math.max(cluster.id.length + 2, ...clusterLines(cluster).map(({ plain }) => plain.length)) + 4;
}

/** Clusters side by side as long as they fit. */
function rowsOf(clusters: readonly TopologyCluster[], columns: number): readonly (readonly TopologyCluster[])[] {
  const rows: TopologyCluster[][] = [];
  let used = Infinity;
  for (const cluster of clusters) {
    const width = widthOf(cluster);
    if (used + GAP.length + width > columns) {
      rows.push([cluster]);
      used = width;
    } else {
      rows.at(-1)?.push(cluster);
      used += GAP.length + width;
    }
  }
  return rows;
}

function drawRow(row: readonly TopologyCluster[], paint: Paint): string {
  const height = Math.max(...row.map((cluster) => clusterLines(cluster).length));
  const boxes = row.map((cluster) => box(cluster, height, paint));
  return (boxes[0] ?? []).map((_, index) => `${boxes.map((lines) => lines[index]).join(GAP)}\n`).join('');
}

function endText({ cluster, gateway }: CableEnd): string {
  return printable(gateway === '' ? cluster : `${cluster}/${gateway}`);
}

function cableLine(
  cable: TopologyCable,
  widths: { readonly from: number; readonly label: number },
  paint: Paint,
): string {
  const { from, to, health, message } = cable;
  const line = health === 'connected' ? '══' : health === 'connecting' ? '╌╌' : '──';
  const label = cableLabel(cable);
  const drawn = paint(
    health,
    `${line} ${SIGNS[health]} ${label} ${line.padEnd(2 + widths.label - label.length, line)}`,
  );
  const why = message === '' ? '' : `   ${printable(message)}`;
  return `${endText(from).padEnd(widths.from)} ${drawn} ${endText(to)}${why}\n`;
}

/** The clusters as boxes, and under them a line for each cable; at most `columns` wide where the names allow it. */
export function renderText({ clusters, cables }: Topology, columns: number, paint: Paint): string {
  const boxes = rowsOf(clusters, columns).map((row) => drawRow(row, paint));
  const widths = {
    from: Math.max(0, ...cables.map(({ from }) => endText(from).length)),
    label: Math.max(0, ...cables.map((cable) => cableLabel(cable).length)),
  };
  const lines = cables.map((cable) => cableLine(cable, widths, paint));
  return `${boxes.join('')}${lines.length === 0 ? '' : `\n${lines.join('')}`}`;
}
