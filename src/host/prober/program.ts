import { ExpectedError, UsageError, messageOf } from '../../runtime/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../net/ownership.ts';
import { createRunner, type CommandRunner } from '../command.ts';
import { lookAtNode, type NodeLook } from '../look.ts';
import { countPackets } from './count.ts';
import { probeIcmp, probePathMtu } from './icmp.ts';
import { runFlow } from './flow.ts';
import { probeKernel } from './kernel.ts';
import { runLatency } from './latency.ts';
import { meet } from './meet.ts';
import type { FlowOrder, FlowReport, LatencyOrder, ThroughputOrder } from './measurements.ts';
import {
  PROBER_PORT,
  type CountOrder,
  type MeetOrder,
  type ProbeOrder,
  type ProbeReport,
  type ProbeTarget,
} from './protocol.ts';
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

/** Longest time packets are counted, or others are met. */
const TOLD_S = 120;

/** Works until something comes, or nothing can come any more, on standard input; prints what the work gave. */
async function untilTold<T>(
  signal: AbortSignal,
  write: (line: string) => void,
  work: (signal: AbortSignal, onReady: () => void) => Promise<T>,
): Promise<void> {
  const told = new AbortController();
  const stop = (): void => told.abort();
  process.stdin.once('data', stop).once('end', stop).once('error', stop);
  const timer = setTimeout(stop, TOLD_S * 1000);
  try {
    const result = await work(AbortSignal.any([signal, told.signal]), () => write('ready\n'));
    write(`${JSON.stringify(result)}\n`);
  } finally {
    clearTimeout(timer);
    process.stdin.destroy();
  }
}

/** Does nothing until it is stopped: what keeps a pod alive in which probes are run. */
async function wait(signal: AbortSignal): Promise<void> {
  await systemClock.sleep(LIFETIME_S * 1000, signal);
}

const MEASUREMENTS: readonly string[] = ['flow', 'latency', 'throughput'];

/** What is run for a verb; `text` is the first argument after it. */
type Verb = (at: {
  readonly rest: readonly string[];
  readonly text: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly write: (line: string) => void;
}) => Promise<void>;

const VERBS: Readonly<Record<string, Verb>> = {
  send: async ({ logger, write }) => send(logger, write),
  serve: async ({ rest, signal, write }) => serve(rest, signal, write),
  wait: async ({ signal }) => wait(signal),
  look: async ({ signal, logger, write }) => write(`${JSON.stringify(await look(signal, logger))}\n`),
  kernel: async ({ logger, write }) => write(`${JSON.stringify(await probeKernel(createRunner({ logger })))}\n`),
  count: async ({ text, signal, write }) => {
    const order = parseOrder('count', text) as CountOrder;
    await untilTold(signal, write, async (until, onReady) => countPackets(order, until, onReady));
  },
  meet: async ({ text, signal, logger, write }) => {
    const order = parseOrder('meet', text) as MeetOrder;
    await untilTold(signal, write, async (until, onReady) => meet(createRunner({ logger }), order, until, onReady));
  },
};

/**
 * `probe send` reads an order from standard input and prints a report for each target; `probe serve [--port N]
 * [--seconds N]` answers probes until it is stopped; `probe wait` only stays; `probe flow|latency|throughput ORDER`
 * measures and prints a report; `probe look` prints the network of the node, `probe kernel` what its kernel offers;
 * `probe count ORDER` and `probe meet ORDER` say `ready`, count packets or exchange them with others until something comes
 * on standard input, and print what was seen. Changes nothing that stays on the node.
 */
export async function runProber(
  args: readonly string[],
  signal: AbortSignal,
  logger: Logger,
  write: (line: string) => void,
): Promise<void> {
  const [name = '', ...rest] = args;
  const text = rest[0] ?? '';
  const verb = VERBS[name];
  if (verb !== undefined) return verb({ rest, text, signal, logger, write });
  if (!MEASUREMENTS.includes(name))
    throw new UsageError(`"${name}" is none of ${[...Object.keys(VERBS), ...MEASUREMENTS].join(', ')}`);
  write(`${JSON.stringify(await measure(name, text, signal))}\n`);
}
