import { once } from 'node:events';
import { systemClock } from '../../runtime/clock.ts';
import { UsageError } from '../../runtime/errors.ts';
import { findStalls, reportStalls, reportTcp, reportUdp, type TrafficEvent, type TrafficReport } from './report.ts';
import { TcpStream } from './tcp-stream.ts';
import { UdpStream, type EchoAddress } from './udp-stream.ts';

/** What a traffic probe sends, and how often. */
export interface TrafficOrder extends EchoAddress {
  readonly udpEveryMs: number;
  readonly tcpEveryMs: number;
}

/** Later than this, the sender counts as having stood still. */
const TOLERANCE_MS = 40;
/** How long is waited, when sending has ended, for what is still under way. */
const DRAIN_MS = 1500;
const DRAIN_POLL_MS = 10;

/** Reads `--udp-every MS --tcp-every MS HOST:PORT`; 10 and 20 ms unless told otherwise. */
export function parseTrafficOrder(args: readonly string[]): TrafficOrder {
  const after = (flag: string, initial: number): number => {
    const at = args.indexOf(flag);
    return at === -1 ? initial : Number(args[at + 1]);
  };
  const [, host, port] = /^(\d+\.\d+\.\d+\.\d+):(\d+)$/.exec(args.at(-1) ?? '') ?? [];
  const udpEveryMs = after('--udp-every', 10);
  const tcpEveryMs = after('--tcp-every', 20);
  if (host === undefined || !(udpEveryMs > 0) || !(tcpEveryMs > 0)) {
    throw new UsageError('traffic [--udp-every MS] [--tcp-every MS] HOST:PORT');
  }
  return { host, port: Number(port), udpEveryMs, tcpEveryMs };
}

/**
 * Calls `send` every so often until the signal is aborted. What could not be sent in time because the machine gave no time
 * is not made up for: a burst would be another traffic than the one that is measured.
 */
async function tick(everyMs: number, signal: AbortSignal, send: () => void): Promise<void> {
  let dueMs = performance.now();
  while (!signal.aborted) {
    send();
    const nowMs = performance.now();
    dueMs = Math.max(dueMs + everyMs, nowMs);
    await systemClock.sleep(dueMs - nowMs, signal);
  }
}

/** Sends datagrams and lines until the signal is aborted, and tells what became of them. `onReady` is called once both come back. */
export async function sendTraffic(
  order: TrafficOrder,
  signal: AbortSignal,
  onReady: () => void,
): Promise<TrafficReport> {
  const waiting = new Set(['udp', 'tcp']);
  const back = (what: string) => (): void => {
    if (waiting.delete(what) && waiting.size === 0) onReady();
  };
  const epochMs = Date.now() - performance.now();
  const udp = await UdpStream.open(order, back('udp'));
  const tcp = new TcpStream(order, back('tcp'));
  try {
    await Promise.all([
      tick(order.udpEveryMs, signal, () => udp.send()),
      tick(order.tcpEveryMs, signal, () => tcp.send()),
    ]);
    const endMs = performance.now();
    while (performance.now() < endMs + DRAIN_MS && !(udp.complete && tcp.complete))
      await systemClock.sleep(DRAIN_POLL_MS);
    const sentMs = udp.samples.map((sample) => sample.sentMs);
    const stalls = findStalls(sentMs, order.udpEveryMs, TOLERANCE_MS);
    const span = { endMs, stalls, epochMs };
    return {
      startedAt: Math.round(epochMs + (sentMs[0] ?? endMs)),
      endedAt: Math.round(epochMs + endMs),
      udp: reportUdp(udp.samples, udp.counts, span),
      tcp: reportTcp(tcp.lines, tcp.resets, span),
      sender: reportStalls(stalls, epochMs),
    };
  } finally {
    udp.close();
    tcp.close();
  }
}

/** Sends until standard input ends or the signal is aborted; prints a line of JSON when both ways work, and one at the end. */
export async function runTraffic(
  args: readonly string[],
  signal: AbortSignal,
  write: (line: string) => void,
): Promise<void> {
  const order = parseTrafficOrder(args);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener('abort', end, { once: true });
  void once(process.stdin.resume(), 'end').then(end);
  const print = (event: TrafficEvent): void => write(`${JSON.stringify(event)}\n`);
  const report = await sendTraffic(order, stop.signal, () => print({ event: 'ready', at: Date.now() }));
  print({ event: 'report', ...report });
  process.stdin.destroy();
}
