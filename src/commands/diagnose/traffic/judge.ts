import type { Finding } from '../check.ts';
import { describePlace, type Crossing, type Traffic } from './model.ts';

/** Why a crossing is bad; undefined when it is good. */
export type Judge = (crossing: Crossing) => string | undefined;

/** The reason most often given. */
function mostCommon(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}

interface Judged {
  readonly crossing: Crossing;
  readonly reason: string | undefined;
}

function reasonOf(judged: readonly Judged[]): string {
  return mostCommon(judged.flatMap(({ reason }) => reason ?? []));
}

/** Groups of which every member is bad; groups of all there is tell nothing. */
function whollyBad(judged: readonly Judged[], keyOf: (crossing: Crossing) => string): readonly (readonly Judged[])[] {
  const groups = [...Map.groupBy(judged, ({ crossing }) => keyOf(crossing)).values()];
  return groups.length < 2 ? [] : groups.filter((group) => group.every(({ reason }) => reason !== undefined));
}

const LISTED = 5;

function listed(judged: readonly Judged[]): readonly Finding[] {
  const bad = judged.filter(({ reason }) => reason !== undefined);
  const shown = bad.slice(0, LISTED).map(({ crossing: { from, to }, reason }) => ({
    object: `${describePlace(from)} -> ${describePlace(to)}`,
    reason: reason ?? '',
  }));
  const more = bad.length - shown.length;
  return more === 0 ? shown : [...shown, { object: `${more} more`, reason: reasonOf(bad.slice(LISTED)) }];
}

/** What is wrong on the way from one cluster to another, said once for what the bad crossings have in common. */
function findingsOf(from: string, to: string, judged: readonly Judged[], wholly: string): readonly Finding[] {
  const bad = judged.filter(({ reason }) => reason !== undefined);
  if (bad.length === 0) return [];
  if (bad.length === judged.length) {
    return [{ object: `${from} -> ${to}`, reason: `${wholly}: ${reasonOf(bad)}` }];
  }
  const sources = whollyBad(judged, (crossing) => crossing.from.node);
  const sourceNodes = new Set(sources.map((group) => group[0]?.crossing.from.node));
  const others = judged.filter(({ crossing }) => !sourceNodes.has(crossing.from.node));
  const targets = whollyBad(others, (crossing) => crossing.to.node);
  const targetNodes = new Set(targets.map((group) => group[0]?.crossing.to.node));
  return [
    ...sources.map((group) => ({
      object: `node ${group[0]?.crossing.from.node ?? ''} (${from})`,
      reason: `to ${to} ${wholly}: ${reasonOf(group)}`,
    })),
    ...targets.map((group) => ({
      object: `node ${group[0]?.crossing.to.node ?? ''} (${to})`,
      reason: `from ${from} ${wholly}: ${reasonOf(group)}`,
    })),
    ...listed(others.filter(({ crossing }) => !targetNodes.has(crossing.to.node))),
  ];
}

/** Findings about crossings that leave a cluster; `judge` says why one is bad, `wholly` what it means when all are. */
export function judgeCrossings(
  crossings: readonly Crossing[],
  judge: Judge,
  wholly = 'nothing gets through',
): readonly Finding[] {
  const judged = crossings.map((crossing) => ({ crossing, reason: judge(crossing) }));
  const pairs = Map.groupBy(judged, ({ crossing: { from, to } }) => `${from.cluster} ${to.cluster}`);
  return [...pairs.values()].flatMap((group) => {
    const { from, to } = group[0]?.crossing ?? {};
    return findingsOf(from?.cluster ?? '', to?.cluster ?? '', group, wholly);
  });
}

/** Echo requests came back. */
export const echoes: Judge = ({ report, failure }) => {
  if (report === undefined) return `could not be tried: ${failure}`;
  const { icmp } = report;
  return icmp === undefined || icmp.received > 0 ? undefined : icmp.failure;
};

/** A TCP stream went both ways. */
export const streams: Judge = ({ report, failure }) => {
  if (report === undefined) return `could not be tried: ${failure}`;
  return report.tcp === undefined || report.tcp.ok ? undefined : `TCP: ${report.tcp.failure}`;
};

/** Datagrams of every size came back. */
export const datagrams: Judge = ({ report, failure }) => {
  if (report === undefined) return `could not be tried: ${failure}`;
  const { udp } = report;
  if (udp === undefined) return undefined;
  const silent = udp.bursts.filter(({ back }) => back === 0);
  if (silent.length === 0) return undefined;
  const sizes = silent.map(({ bytes }) => bytes).join(', ');
  const arrived = silent.every(({ there }) => (there ?? 0) > 0) ? ', though they arrived' : '';
  const why = udp.failure === '' ? '' : ` (${udp.failure})`;
  return `UDP: no packet of ${sizes} bytes came back${arrived}${why}`;
};

/** A test pod was seen with its own address. */
export const sources: Judge = ({ from, report }) => {
  const seen = [report?.tcp?.clientIP, report?.udp?.clientIP].filter(
    (address) => address !== undefined && address !== '',
  );
  const wrong = seen.find((address) => address !== from.address);
  return wrong === undefined ? undefined : `seen as ${wrong} instead of ${from.address}`;
};

/** Packets of one direction: sent, and arrived. */
export interface Loss {
  readonly from: string;
  readonly to: string;
  readonly sent: number;
  readonly arrived: number;
}

/** Packets lost on the ways that carry any, by direction: what arrived is counted there, what came back here. */
export function losses({ crossings }: Traffic): readonly Loss[] {
  const sums = new Map<string, Loss>();
  const add = (from: string, to: string, sent: number, arrived: number): void => {
    const known = sums.get(`${from} ${to}`) ?? { from, to, sent: 0, arrived: 0 };
    sums.set(`${from} ${to}`, { from, to, sent: known.sent + sent, arrived: known.arrived + arrived });
  };
  for (const { from, to, report } of crossings) {
    for (const { sent, there, back } of report?.udp?.bursts ?? []) {
      if (there === null || there === 0) continue;
      add(from.cluster, to.cluster, sent, there);
      if (back > 0) add(to.cluster, from.cluster, there, back);
    }
  }
  return [...sums.values()];
}
