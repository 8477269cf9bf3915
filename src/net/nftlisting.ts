import type { NftChain, NftSet, Ruleset } from './state.ts';

const SET_TYPES = ['ipv4_addr', 'ipv6_addr', 'inet_service'] as const;
const HOOK =
  /^type (filter|nat|route) hook (prerouting|input|forward|output|postrouting) priority (-?\d+); policy accept;$/;

interface Block {
  readonly kind: string;
  readonly name: string;
  readonly lines: readonly string[];
}

const BLOCK = /^\s*(\w+) (\S+) \{\n([\s\S]*?)^\s*\}$/gm;

function linesOf(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** The blocks of a table; a line that stands outside of blocks is a block of its own. */
function blocksOf(text: string): readonly Block[] {
  const body = text.slice(text.indexOf('\n') + 1);
  const blocks = [...body.matchAll(BLOCK)].map(([, kind = '', name = '', inner = '']) => ({
    kind,
    name,
    lines: linesOf(inner),
  }));
  const outside = linesOf(body.replaceAll(BLOCK, '')).filter((line) => line !== '}');
  return [...blocks, ...outside.map((line) => ({ kind: 'attribute', name: '', lines: [line] }))];
}

function parseSet(block: Block): NftSet | undefined {
  const text = block.lines.join(' ');
  const match = /^type (\w+)( flags interval)?(?: elements = \{ ?(.*?) ?\})?$/.exec(text);
  const type = SET_TYPES.find((name) => name === match?.[1]);
  if (match === null || type === undefined) return undefined;
  const elements = (match[3] ?? '').split(/,\s*/).filter((element) => element !== '');
  return { name: block.name, type, interval: match[2] !== undefined, elements };
}

function parseChain(block: Block): NftChain | undefined {
  const [first, ...rest] = block.lines;
  if (first?.startsWith('type ') !== true) return { name: block.name, rules: block.lines };
  const match = HOOK.exec(first);
  if (match === null) return undefined;
  const hook = { type: match[1], hook: match[2], priority: Number(match[3]) } as NonNullable<NftChain['hook']>;
  return { name: block.name, hook, rules: rest };
}

/**
 * Reads what `nft -s -y list table inet NAME` prints. Whatever our tables never contain (flags, maps, other policies)
 * comes back as a chain without a name, so that the table differs from any wanted one.
 */
export function parseListing(table: string, text: string): Ruleset {
  const sets: NftSet[] = [];
  const chains: NftChain[] = [];
  const foreign: string[] = [];
  for (const block of blocksOf(text)) {
    const set = block.kind === 'set' ? parseSet(block) : undefined;
    const chain = block.kind === 'chain' ? parseChain(block) : undefined;
    if (set !== undefined) sets.push(set);
    else if (chain !== undefined) chains.push(chain);
    else foreign.push(`${block.kind} ${block.name} ${block.lines.join(' ')}`.trim());
  }
  return { table, sets, chains: foreign.length === 0 ? chains : [...chains, { name: '', rules: foreign }] };
}
