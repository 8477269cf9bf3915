import { printable } from '../../output.ts';
import { COLOURS, NEUTRAL } from './colours.ts';
import { cableLabel, type Health, type Topology, type TopologyCable, type TopologyCluster } from './model.ts';

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Box extends Point {
  readonly cluster: TopologyCluster;
  readonly width: number;
  readonly height: number;
}

const CHAR = 7.5;
const LINE = 20;
const HEAD = 34;
const PADDING = 14;
/** Space between boxes, in which a label has to fit. */
const ROOM = 220;
/** Between several cables of the same two clusters. */
const APART = 26;

/** Text that stands in XML; what XML does not allow is left out. */
export function escapeXml(text: string): string {
  const allowed = printable(text).replaceAll(/[^\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '');
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return allowed.replaceAll(/[&<>"']/g, (one) => names[one] ?? '');
}

function clusterLines({ gateways, joined, context }: TopologyCluster): readonly (readonly [string, string])[] {
  if (!joined) return [['has not joined', COLOURS.error]];
  if (gateways.length === 0) return [[context === null ? 'not looked at' : 'no gateway', NEUTRAL]];
  return gateways.map(({ node, haStatus, failure }) => {
    const sign = failure !== '' ? '✗' : haStatus === 'active' ? '●' : '○';
    const colour = failure !== '' ? COLOURS.error : haStatus === 'active' ? COLOURS.connected : NEUTRAL;
    return [`${sign} ${node}${haStatus === '' ? '' : `  ${haStatus}`}`, colour];
  });
}

function sizeOf(cluster: TopologyCluster): { readonly width: number; readonly height: number } {
  const lines = clusterLines(cluster);
  const longest = Math.max(cluster.id.length * 1.2, ...lines.map(([text]) => text.length));
  return { width: Math.ceil(longest * CHAR) + 2 * PADDING, height: HEAD + lines.length * LINE + PADDING / 2 };
}

/** Clusters evenly on a circle that is large enough for labels between neighbours; two of them side by side. */
function place(clusters: readonly TopologyCluster[]): readonly Box[] {
  const sizes = clusters.map((cluster) => ({ cluster, ...sizeOf(cluster) }));
  const widest = Math.max(0, ...sizes.map(({ width }) => width));
  const radius = clusters.length < 2 ? 0 : (widest + ROOM) / 2 / Math.sin(Math.PI / clusters.length);
  const start = clusters.length === 2 ? Math.PI : -Math.PI / 2;
  const centred = sizes.map((size, index) => {
    const angle = start + (2 * Math.PI * index) / Math.max(1, clusters.length);
    return { ...size, x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
  });
  const left = Math.min(0, ...centred.map(({ x, width }) => x - width / 2));
  const top = Math.min(0, ...centred.map(({ y, height }) => y - height / 2));
  return centred.map((box) => ({ ...box, x: Math.round(box.x - left) + 20, y: Math.round(box.y - top) + 50 }));
}

function text(at: Point, words: string, attributes: string): string {
  return `<text x="${at.x}" y="${at.y}" ${attributes}>${escapeXml(words)}</text>\n`;
}

function drawBox(box: Box): string {
  const { cluster, x, y, width, height } = box;
  const left = x - width / 2;
  const top = y - height / 2;
  const dashed = cluster.context === null ? ' stroke-dasharray="6 4"' : '';
  const lines = clusterLines(cluster).map(([words, colour], index) =>
    text({ x: left + PADDING, y: top + HEAD + (index + 0.7) * LINE }, words, `fill="${colour}"`),
  );
  return `<g><title>${escapeXml([...cluster.clusterCIDRs, ...cluster.serviceCIDRs].join(', '))}</title>
<rect x="${left}" y="${top}" width="${width}" height="${height}" rx="8" fill="#fafafa" stroke="#424242"${dashed}/>
${text({ x, y: top + 22 }, cluster.id, 'text-anchor="middle" font-weight="bold" font-size="16" fill="#212121"')}${lines.join('')}</g>
`;
}

/** Moves the line between two points to its side. */
function aside(a: Point, b: Point, by: number): readonly [Point, Point] {
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const shift = { x: (-(b.y - a.y) / length) * by, y: ((b.x - a.x) / length) * by };
  const moved = (point: Point): Point => ({ x: Math.round(point.x + shift.x), y: Math.round(point.y + shift.y) });
  return [moved(a), moved(b)];
}

function drawCable(cable: TopologyCable, from: Point, to: Point): string {
  const colour = COLOURS[cable.health];
  const dashed = cable.health === 'connected' ? '' : ' stroke-dasharray="8 6"';
  const label = cableLabel(cable);
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  const width = label.length * CHAR + 10;
  const ends = `${cable.from.cluster}/${cable.from.gateway} – ${cable.to.cluster}/${cable.to.gateway}`;
  const title = [ends, cable.health, cable.message].filter((words) => words !== '').join(': ');
  return `<g><title>${escapeXml(title)}</title>
<line x1="${from.x}" y1="${from.y}" x2="${to.x}" y2="${to.y}" stroke="${colour}" stroke-width="3"${dashed}/>
<rect x="${middle.x - width / 2}" y="${middle.y - 11}" width="${width}" height="22" rx="4" fill="#ffffff" stroke="${colour}"/>
${text({ x: middle.x, y: middle.y + 4 }, label, `text-anchor="middle" fill="${colour}"`)}</g>
`;
}

function drawCables(cables: readonly TopologyCable[], boxes: readonly Box[]): string {
  const pairs = Map.groupBy(cables, ({ from, to }) => JSON.stringify([from.cluster, to.cluster].sort()));
  return [...pairs.values()]
    .flatMap((group) =>
      group.map((cable, index) => {
        const from = boxes.find(({ cluster }) => cluster.id === cable.from.cluster);
        const to = boxes.find(({ cluster }) => cluster.id === cable.to.cluster);
        if (from === undefined || to === undefined) return '';
        const [a, b] = aside(from, to, (index - (group.length - 1) / 2) * APART);
        return drawCable(cable, a, b);
      }),
    )
    .join('');
}

function summary({ clusters, cables }: Topology): string {
  const count = (health: Health): number => cables.filter((cable) => cable.health === health).length;
  const parts = (['connected', 'connecting', 'error', 'missing'] as const)
    .filter((health) => count(health) > 0)
    .map((health) => `${count(health)} ${health}`);
  return `${clusters.length} clusters, ${cables.length} cables${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`;
}

/** The topology as a picture that needs nothing else: clusters as boxes on a circle, cables as lines coloured by health. */
export function renderSvg(topology: Topology): string {
  const boxes = place(topology.clusters);
  const words = summary(topology);
  const width = Math.ceil(Math.max(words.length * CHAR + 40, ...boxes.map((box) => box.x + box.width / 2 + 20)));
  const height = Math.ceil(Math.max(60, ...boxes.map((box) => box.y + box.height / 2 + 20)));
  return `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#ffffff"/>
${text({ x: 20, y: 26 }, words, 'fill="#424242"')}${drawCables(topology.cables, boxes)}${boxes.map(drawBox).join('')}</svg>
`;
}
