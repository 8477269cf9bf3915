import { ExpectedError, UsageError, messageOf } from '../../runtime/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../net/ownership.ts';
import { createRunner, type CommandRunner } from '../command.ts';
import { lookAtNode, type NodeLook } from '../look.ts';
import { countPackets } from './count.ts';
import { probeIcmp, probePathMtu } from './icmp.ts';
import { runFlow } from './flow.ts';
import { runLatency } from './latency.ts';
import type { FlowOrder, FlowReport, LatencyOrder, ThroughputOrder } from './measurements.ts';
import { PROBER_PORT, type CountOrder, type ProbeOrder, type ProbeReport, type ProbeTarget } from './protocol.ts';
import { serveProbes } from './serve.ts';
import { probeTcp } from './tcp.ts';
import { runThroughput } from './throughput.ts';
import { probeUdp } from './udp.ts';

/** A server that nobody ends ends by itself after this time. */
const LIFETIME_S = 900;
/** Targets that are tried at the same time. */
const AT_ONCE = 8;

/** Tries everything an order says of one target; never rejects. */
export async function probeTarget(runner: CommandRunner, target: ProbeTarget, timeoutMs: number): Promise<ProbeReport> {
  const { id, icmp, pathMtu, tcp, udp } = target;
  const [echo, stream, datagrams] = await Promise.all([
    icmp === undefined ? undefined : probeIcmp(runner, target, icmp, timeoutMs),
    tcp === undefined ? undefined : probeTcp({ ...target, port: tcp.port }, tcp, timeoutMs),
    udp === undefined ? undefined : probeUdp(target, udp, timeoutMs, systemClock),
  ]);
  const size = pathMtu === undefined ? undefined : await probePathMtu(runner, target, timeoutMs, pathMtu.maxBytes);
  return {
    id,
    ...(echo === undefined ? {} : { icmp: echo }),
    ...(size === undefined ? {} : { pathMtu: size }),
    ...(stream === undefined ? {} : { tcp: stream }),
    ...(datagrams === undefined ? {} : { udp: datagrams }),
  };
}

function parseOrder(verb: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`probe ${verb}: the order is not JSON: ${messageOf(cause)}`, { cause });
  }
}

/** The first line of standard input; '' when there is none. */
async function firstLine(): Promise<string> {
  let text = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return text.split('\n')[0] ?? '';
}

async function send(logger: Logger, write: (line: string) => void): Promise<void> {
  const { targets, timeoutMs } = parseOrder('send', await firstLine()) as ProbeOrder;
  const runner = createRunner({ logger });
  const queue = targets.values();
  const work = async (): Promise<void> => {
    for (const target of queue) write(`${JSON.stringify(await probeTarget(runner, target, timeoutMs))}\n`);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function numberAfter(args: readonly string[], flag: string, initial: number): number {
  const at = args.indexOf(flag);
  if (at === -1) return initial;
  const value = Number(args[at + 1]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UsageError(`probe serve: ${flag} ${args[at + 1] ?? ''} is not a whole number above 0`);
}

async function serve(args: readonly string[], signal: AbortSignal, write: (line: string) => void): Promise<void> {
  const port = numberAfter(args, '--port', PROBER_PORT);
  const life = new AbortController();
  signal.addEventListener('abort', () => life.abort(), { once: true });
  const timer = setTimeout(() => life.abort(), numberAfter(args, '--seconds', LIFETIME_S) * 1000);
  try {
    await serveProbes({ tcpPort: port, udpPorts: [port] }, life.signal, () => write('ready\n'));
  } catch (error) {
    throw new ExpectedError(`port ${port} cannot be used: ${messageOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** A flow until something comes, or nothing can come any more, on standard input. */
async function flowUntilTold(order: FlowOrder, signal: AbortSignal): Promise<FlowReport> {
  const told = new AbortController();
  const stop = (): void => told.abort();
  process.stdin.once('data', stop).once('end', stop).once('error', stop);
  try {
    return await runFlow(order, AbortSignal.any([signal, told.signal]));
  } finally {
    process.stdin.destroy();
  }
}

/** A measurement with the order that stands on the command line; says why it was not possible. */
async function measure(verb: string, text: string, signal: AbortSignal): Promise<object> {
  const order = parseOrder(verb, text);
  try {
    if (verb === 'flow') return await flowUntilTold(order as FlowOrder, signal);
    if (verb === 'latency') return await runLatency(order as LatencyOrder, signal);
    return await runThroughput(order as ThroughputOrder, signal);
  } catch (cause) {
    throw new ExpectedError(`probe ${verb}: ${messageOf(cause)}`, { cause });
  }
}

/** The node as it is, also when its route agent does not answer. */
async function look(signal: AbortSignal, logger: Logger): Promise<NodeLook> {
  return lookAtNode(createRunner({ logger }), ROUTEAGENT_OWNERSHIP, null, signal);
}

/** Longest time packets are counted. */
const COUNT_S = 120;

/** Counts until something comes, or nothing can come any more, on standard input. */
async function count(text: string, signal: AbortSignal, write: (line: string) => void): Promise<void> {
  const order = parseOrder('count', text) as CountOrder;
  const told = new AbortController();
  const stop = (): void => told.abort();
  process.stdin.once('data', stop).once('end', stop).once('error', stop);
  const timer = setTimeout(stop, COUNT_S * 1000);
  try {
    const packets = await countPackets(order, AbortSignal.any([signal, told.signal]), () => write('ready\n'));
    write(`${JSON.stringify(packets)}\n`);
  } finally {
    clearTimeout(timer);
    process.stdin.destroy();
  }
}

const MEASUREMENTS: readonly string[] = ['flow', 'latency', 'throughput'];

/**
 * `probe send` reads an order from standard input and prints a report for each target; `probe serve [--port N]
 * [--seconds N]` answers probes until it is stopped; `probe flow|latency|throughput ORDER` measures and prints a report;
 * `probe look` prints the network of the node; `probe count ORDER` says `ready`, counts packets until something comes on
 * standard input, and prints how many. Changes nothing on the node; the counters are gone when it ends.
 */
export async function runProber(
  args: readonly string[],
  signal: AbortSignal,
  logger: Logger,
  write: (line: string) => void,
): Promise<void> {
  const [verb = '', ...rest] = args;
  if (verb === 'send') return send(logger, write);
  if (verb === 'serve') return serve(rest, signal, write);
  if (verb === 'count') return count(rest[0] ?? '', signal, write);
  if (verb === 'look') return write(`${JSON.stringify(await look(signal, logger))}\n`);
  if (!MEASUREMENTS.includes(verb))
    throw new UsageError(`"${verb}" is none of send, serve, look, count, ${MEASUREMENTS.join(', ')}`);
  write(`${JSON.stringify(await measure(verb, rest[0] ?? '', signal))}\n`);
}
