import { connectProber } from './connection.ts';
import { describeDistribution } from './distribution.ts';
import type { LatencyOrder, LatencyReport } from './measurements.ts';

const CONNECT_MS = 10_000;
/** A path that is silent so long is broken. */
const SILENCE_MS = 20_000;

/** Round trips of one connection that began after the warm-up, in milliseconds. */
async function exchange(order: LatencyOrder, signal: AbortSignal): Promise<readonly number[]> {
  const { bytes, seconds, warmupSeconds, ...target } = order;
  const { socket, reader } = await connectProber(target, { exchange: bytes }, CONNECT_MS);
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`no answer within ${SILENCE_MS / 1000} s`)));
  const question = Buffer.alloc(bytes, 1);
  const startMs = performance.now() + warmupSeconds * 1000;
  const endMs = startMs + seconds * 1000;
  const times: number[] = [];
  try {
    for (let sentMs = performance.now(); sentMs < endMs && !signal.aborted; sentMs = performance.now()) {
      socket.write(question);
      await reader.bytes(bytes);
      if (sentMs >= startMs) times.push(performance.now() - sentMs);
    }
    return times;
  } finally {
    socket.destroy();
  }
}

/** Asks and waits for the answer, again and again. Rejects when the other side cannot be reached or breaks off. */
export async function runLatency(order: LatencyOrder, signal: AbortSignal): Promise<LatencyReport> {
  const { bytes, streams, seconds } = order;
  const all = await Promise.all(Array.from({ length: streams }, () => exchange(order, signal)));
  const rttMs = describeDistribution(all.flat());
  return { rttMs, perSecond: Math.round(rttMs.count / seconds), bytes, streams };
}
