import type { FlowReport } from './measurements.ts';

/** When each question of a flow was sent and answered, in milliseconds from its start. */
export interface Exchange {
  readonly sentMs: number;
  /** Undefined: never. */
  readonly receivedMs: number | undefined;
}

type Summary = Omit<FlowReport, 'protocol' | 'reconnects'>;

/** What was sent last may still be under way when a flow ends. */
const UNDER_WAY_MS = 1000;
const LEAST_OUTAGE_MS = 200;

/** Sums a flow up: what was lost, and the times in which nothing came back. */
export function summariseFlow(exchanges: readonly Exchange[], intervalMs: number, durationMs: number): Summary {
  const received = exchanges.flatMap(({ receivedMs }) => receivedMs ?? []).sort((a, b) => a - b);
  const settled = exchanges.filter(({ sentMs }) => sentMs <= durationMs - UNDER_WAY_MS);
  const moments = [0, ...received, durationMs];
  const outages = moments.slice(1).flatMap((moment, index) => {
    const fromMs = Math.round(moments[index] ?? 0);
    const lastedMs = Math.round(moment - fromMs);
    return lastedMs > Math.max(3 * intervalMs, LEAST_OUTAGE_MS) ? [{ fromMs, durationMs: lastedMs }] : [];
  });
  return {
    sent: exchanges.length,
    received: received.length,
    lost: settled.filter(({ receivedMs }) => receivedMs === undefined).length,
    durationMs: Math.round(durationMs),
    outages,
    longestOutageMs: Math.max(0, ...outages.map((outage) => outage.durationMs)),
  };
}
