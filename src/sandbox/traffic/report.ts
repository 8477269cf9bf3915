/** When something was sent and when its echo came back, in milliseconds of a clock that never jumps. */
export interface Sample {
  readonly sentMs: number;
  /** Undefined: it never came back. */
  readonly backMs: number | undefined;
}

/** A time in which the sender itself stood still: nothing can be said about the network in it. */
export interface Stall {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly ms: number;
}

/** Packets in a row that did not come back. */
export interface Gap {
  /** Milliseconds since 1970 at which the first of them was sent. */
  readonly at: number;
  /** From then until the first later one was sent that came back, or until the end. */
  readonly ms: number;
  /** How long of that the sender stood still. */
  readonly stalledMs: number;
  /** Number of the first, and how many there are. */
  readonly first: number;
  readonly packets: number;
}

/** What became of a stream of datagrams. */
export interface UdpReport {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  /** Echoes beyond the first of a datagram. */
  readonly duplicates: number;
  /** Echoes that came back after one of a later datagram. */
  readonly reordered: number;
  /** The longest gaps, at most 100, in the order of time. */
  readonly gaps: readonly Gap[];
  readonly longestGapMs: number;
  /** The longest time in which no echo came back, also when the packets were only late. */
  readonly longestSilenceMs: number;
  readonly medianRttMs: number | null;
  readonly maxRttMs: number | null;
}

/** What became of a TCP connection on which a line is sent again and again and each comes back. */
export interface TcpReport {
  readonly sent: number;
  readonly acknowledged: number;
  /** Every end of the connection that was not wanted; it is made anew. */
  readonly resets: readonly { readonly at: number; readonly why: string }[];
  /** Times longer than 200 ms in which lines were under way and none came back; how long of each the sender stood still. */
  readonly stalls: readonly (Stall & { readonly stalledMs: number })[];
  readonly longestStallMs: number;
}

/** What a traffic probe saw. */
export interface TrafficReport {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly udp: UdpReport;
  readonly tcp: TcpReport;
  /** How well the machine let the probe do its work. */
  readonly sender: { readonly stalls: readonly Stall[]; readonly longestStallMs: number };
}

/** A line that a traffic probe prints. */
export type TrafficEvent =
  /** Both ways work: an echo has come back, and a line of the connection. */
  { readonly event: 'ready'; readonly at: number } | ({ readonly event: 'report' } & TrafficReport);

interface Span {
  /** When sending ended. */
  readonly endMs: number;
  /** When the sender stood still. */
  readonly stalls: readonly Stall[];
  /** Added to every time that is told. */
  readonly epochMs: number;
}

const MAX_GAPS = 100;
/** Silence of a connection that is worth telling. */
const STALL_MS = 200;

const tenth = (ms: number): number => Math.round(ms * 10) / 10;

/** How much of a span the stalls cover; both in the same clock. */
function coveredMs(fromMs: number, untilMs: number, stalls: readonly Stall[]): number {
  const parts = stalls.map(({ at, ms }) => Math.min(untilMs, at + ms) - Math.max(fromMs, at));
  return parts.reduce((sum, part) => sum + Math.max(0, part), 0);
}

/** The times in which the sender was later than `toleranceMs`: it is to send every `everyMs` and is never early. */
export function findStalls(sentMs: readonly number[], everyMs: number, toleranceMs: number): readonly Stall[] {
  return sentMs.slice(1).flatMap((now, index) => {
    const before = sentMs[index] ?? now;
    return now - before > everyMs + toleranceMs ? [{ at: before, ms: now - before }] : [];
  });
}

/** The runs of datagrams that did not come back. */
export function findGaps(samples: readonly Sample[], { endMs, stalls, epochMs }: Span): readonly Gap[] {
  const gaps: Gap[] = [];
  let first: number | undefined;
  const close = (next: number, untilMs: number): void => {
    if (first === undefined) return;
    const fromMs = samples[first]?.sentMs ?? untilMs;
    const stalledMs = tenth(coveredMs(fromMs, untilMs, stalls));
    gaps.push({ at: tenth(epochMs + fromMs), ms: tenth(untilMs - fromMs), stalledMs, first, packets: next - first });
    first = undefined;
  };
  for (const [number, { sentMs, backMs }] of samples.entries()) {
    if (backMs === undefined) first ??= number;
    else close(number, sentMs);
  }
  close(samples.length, endMs);
  return gaps;
}

function longestFirst(gaps: readonly Gap[], count: number): readonly Gap[] {
  return gaps
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, count)
    .toSorted((a, b) => a.at - b.at);
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** The longest time between two of these moments, which need not be in order. */
function longestPause(moments: readonly number[]): number {
  const sorted = moments.toSorted((a, b) => a - b);
  return largest(sorted.slice(1).map((moment, index) => moment - (sorted[index] ?? moment)));
}

/** What a stream of datagrams shows, sent every so often until `endMs`. */
export function reportUdp(
  samples: readonly Sample[],
  counts: Pick<UdpReport, 'duplicates' | 'reordered'>,
  span: Span,
): UdpReport {
  const gaps = findGaps(samples, span);
  const back = samples.flatMap(({ backMs }) => (backMs === undefined ? [] : [backMs]));
  const rtts = samples
    .flatMap(({ sentMs, backMs }) => (backMs === undefined ? [] : [backMs - sentMs]))
    .sort((a, b) => a - b);
  const firstMs = samples[0]?.sentMs ?? span.endMs;
  return {
    sent: samples.length,
    received: back.length,
    lost: samples.length - back.length,
    ...counts,
    gaps: longestFirst(gaps, MAX_GAPS),
    longestGapMs: largest(gaps.map(({ ms }) => ms)),
    longestSilenceMs: tenth(longestPause([firstMs, ...back, span.endMs])),
    medianRttMs: rtts.length === 0 ? null : tenth(rtts[Math.floor(rtts.length / 2)] ?? 0),
    maxRttMs: rtts.length === 0 ? null : tenth(rtts.at(-1) ?? 0),
  };
}

/**
 * The times in which lines were under way and none came back for 200 ms or more: from the last sign of life, or from when
 * the line was sent that then was the only one under way. Lines of a connection that broke never come back.
 */
export function findTcpStalls(lines: readonly Sample[], { endMs, stalls, epochMs }: Span): TcpReport['stalls'] {
  const found: TcpReport['stalls'][number][] = [];
  let aliveMs = 0;
  let waitingSinceMs: number | undefined;
  const note = (untilMs: number): void => {
    if (waitingSinceMs === undefined) return;
    const fromMs = Math.max(aliveMs, waitingSinceMs);
    if (untilMs - fromMs < STALL_MS) return;
    const stalledMs = tenth(coveredMs(fromMs, untilMs, stalls));
    found.push({ at: tenth(epochMs + fromMs), ms: tenth(untilMs - fromMs), stalledMs });
  };
  for (const { sentMs, backMs } of lines) {
    waitingSinceMs ??= sentMs;
    if (backMs === undefined) continue;
    note(backMs);
    aliveMs = Math.max(aliveMs, backMs);
    waitingSinceMs = undefined;
  }
  note(endMs);
  return found;
}

/** What a connection shows on which lines were sent until `endMs`. */
export function reportTcp(lines: readonly Sample[], resets: TcpReport['resets'], span: Span): TcpReport {
  const stalls = findTcpStalls(lines, span);
  return {
    sent: lines.length,
    acknowledged: lines.filter(({ backMs }) => backMs !== undefined).length,
    resets,
    stalls: stalls.slice(0, MAX_GAPS),
    longestStallMs: largest(stalls.map(({ ms }) => ms)),
  };
}

/** Stalls with their times since 1970. */
export function reportStalls(stalls: readonly Stall[], epochMs: number): TrafficReport['sender'] {
  const told = stalls.map(({ at, ms }) => ({ at: tenth(epochMs + at), ms: tenth(ms) }));
  return { stalls: told.slice(0, MAX_GAPS), longestStallMs: largest(told.map(({ ms }) => ms)) };
}

/** What a traffic probe printed, line by line; other lines are left out. */
export function parseTraffic(text: string): readonly TrafficEvent[] {
  return text.split('\n').flatMap((line) => {
    try {
      const parsed: unknown = JSON.parse(line);
      return typeof parsed === 'object' && parsed !== null && 'event' in parsed ? [parsed as TrafficEvent] : [];
    } catch {
      return [];
    }
  });
}
