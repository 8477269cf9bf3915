import { describeFailure, type CommandRunner } from '../command.ts';
import { parseLinks } from '../ip.ts';
import { parsePingLine } from '../ping.ts';
import { observeFirstHop } from '../underlay.ts';
import type { IcmpReport, PathMtuReport, ProbeTarget } from './protocol.ts';

/** IPv4 without options, and ICMP. */
const HEADERS_BYTES = 28;
/** Every IPv4 host takes packets of this size (RFC 791). */
const SMALLEST_BYTES = 576;
const INTERVAL_S = 0.1;

type Where = Pick<ProbeTarget, 'address' | 'source'>;

interface Pinged {
  readonly replies: readonly number[];
  readonly failure: string;
  /** What a router, or this node, said the path carries. */
  readonly toldBytes: number | null;
}

function smallest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.min(...values);
}

/** Reads the output of a ping that has ended. */
export function parsePing(output: string): Pinged {
  const lines = output.split('\n').map((line) => line.trim());
  const parsed = lines.map((line) => parsePingLine(line)).filter((line) => line !== undefined);
  const told = lines.flatMap((line) => {
    const match = /(?:message too long, mtu=|Frag needed and DF set \(mtu = )(\d+)/i.exec(line);
    return match === null ? [] : [Number(match[1])];
  });
  return {
    replies: parsed.flatMap((line) => ('rttMs' in line ? [line.rttMs] : [])),
    failure: parsed.flatMap((line) => ('failure' in line ? [line.failure] : [])).at(-1) ?? '',
    toldBytes: smallest(told.filter((value) => value > 0)),
  };
}

async function ping(
  runner: CommandRunner,
  where: Where,
  how: { readonly count: number; readonly bytes: number; readonly whole: boolean; readonly timeoutMs: number },
): Promise<Pinged> {
  const from = where.source === undefined ? [] : ['-I', where.source];
  const size = ['-s', String(how.bytes - HEADERS_BYTES), ...(how.whole ? ['-M', 'do'] : [])];
  const pace = ['-c', String(how.count), '-i', String(INTERVAL_S), '-W', String(how.timeoutMs / 1000)];
  const limit = how.timeoutMs + how.count * INTERVAL_S * 1000 + 3000;
  try {
    const args = ['-n', ...pace, ...size, ...from, where.address];
    const { stdout, stderr } = await runner.run('ping', args, { okExitCodes: [0, 1, 2], timeoutMs: limit });
    return parsePing(`${stdout}\n${stderr}`);
  } catch (error) {
    return { replies: [], failure: describeFailure(error), toldBytes: null };
  }
}

/** What ping sends by itself. */
const USUAL_BYTES = 84;

/** Sends echo requests, which may be fragmented; never rejects. */
export async function probeIcmp(
  runner: CommandRunner,
  where: Where,
  { count, bytes = USUAL_BYTES }: NonNullable<ProbeTarget['icmp']>,
  timeoutMs: number,
): Promise<IcmpReport> {
  const { replies, failure } = await ping(runner, where, { count, bytes, whole: false, timeoutMs });
  const received = Math.min(replies.length, count);
  const why = received === count ? '' : failure === '' ? `no answer within ${timeoutMs / 1000} s` : failure;
  const sum = replies.reduce((total, rtt) => total + rtt, 0);
  const rttMs = replies.length === 0 ? null : Math.round((sum / replies.length) * 1000) / 1000;
  return { sent: count, received, rttMs, failure: why };
}

/** Sizes between the bounds, both excluded, at most `count`, evenly spread. */
export function sizesBetween(low: number, high: number, count: number): readonly number[] {
  const step = Math.max(1, Math.ceil((high - low) / (count + 1)));
  const sizes: number[] = [];
  for (let size = low + step; size < high; size += step) sizes.push(size);
  return sizes;
}

const AT_ONCE = 12;

/** Sends packets that must stay whole and remembers the smallest size anybody said the path carries. */
class WholePackets {
  readonly #send: (bytes: number) => Promise<Pinged>;
  toldBytes: number | null = null;

  constructor(send: (bytes: number) => Promise<Pinged>) {
    this.#send = send;
  }

  async passes(bytes: number): Promise<boolean> {
    const { replies, toldBytes } = await this.#send(bytes);
    this.toldBytes = smallest([this.toldBytes, toldBytes].filter((value) => value !== null));
    return replies.length > 0;
  }
}

/** The size that routers on the way, each in turn, say the path carries; undefined when a packet of that size vanishes. */
async function followHints(packets: WholePackets): Promise<number | undefined> {
  let before: number | null = null;
  while (packets.toldBytes !== null && packets.toldBytes !== before) {
    before = packets.toldBytes;
    if (await packets.passes(before)) return before;
  }
  return undefined;
}

/** The largest size that passes, `good` being one and `bad` none, by three steps of a dozen sizes each. */
async function search(packets: WholePackets, good: number, bad: number, steps = 3): Promise<number> {
  if (steps === 0 || bad - good <= 1) return good;
  const sizes = sizesBetween(good, bad, AT_ONCE);
  const results = await Promise.all(sizes.map(async (bytes) => ({ bytes, ok: await packets.passes(bytes) })));
  const best = Math.max(good, ...results.filter(({ ok }) => ok).map(({ bytes }) => bytes));
  const next = results.filter(({ bytes, ok }) => !ok && bytes > best).map(({ bytes }) => bytes);
  return search(packets, best, Math.min(bad, ...next), steps - 1);
}

const ETHERNET_BYTES = 1500;

/** What the link takes by which packets to an address leave this node. */
async function firstLinkBytes(runner: CommandRunner, address: string): Promise<number> {
  try {
    const hop = await observeFirstHop(runner, address);
    if (hop === undefined) return ETHERNET_BYTES;
    const { stdout } = await runner.run('ip', ['-j', '-d', 'addr', 'show', 'dev', hop.link]);
    return parseLinks(stdout)[0]?.mtuBytes ?? ETHERNET_BYTES;
  } catch {
    return ETHERNET_BYTES;
  }
}

/**
 * Finds the largest packet that is answered with the don't-fragment bit set. First the largest wanted
 * (without a wish, what the first link takes); then what a router or this node says the path carries; when that does
 * not arrive either, by search.
 */
export async function probePathMtu(
  runner: CommandRunner,
  where: Where,
  timeoutMs: number,
  wantedBytes?: number,
): Promise<PathMtuReport> {
  const triedBytes = wantedBytes ?? (await firstLinkBytes(runner, where.address));
  const packets = new WholePackets((bytes) => ping(runner, where, { count: 2, bytes, whole: true, timeoutMs }));
  if (await packets.passes(triedBytes))
    return { triedBytes, largestBytes: triedBytes, toldBytes: null, blackHole: false };
  const hinted = await followHints(packets);
  if (hinted !== undefined) return { triedBytes, largestBytes: hinted, toldBytes: hinted, blackHole: false };
  const { toldBytes } = packets;
  if (!(await packets.passes(SMALLEST_BYTES))) return { triedBytes, largestBytes: null, toldBytes, blackHole: false };
  const largestBytes = await search(packets, SMALLEST_BYTES, toldBytes ?? triedBytes);
  return { triedBytes, largestBytes, toldBytes, blackHole: true };
}
