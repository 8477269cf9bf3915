import { ExpectedError, UsageError, messageOf } from '../../runtime/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { createRunner, type CommandRunner } from '../command.ts';
import { probeIcmp, probePathMtu } from './icmp.ts';
import { PROBER_PORT, type ProbeOrder, type ProbeReport, type ProbeTarget } from './protocol.ts';
import { serveProbes } from './serve.ts';
import { probeTcp } from './tcp.ts';
import { probeUdp } from './udp.ts';

/** A server that nobody ends ends by itself after this time. */
const LIFETIME_S = 900;
/** Targets that are tried at the same time. */
const AT_ONCE = 8;

/** Tries everything an order says of one target; never rejects. */
export async function probeTarget(runner: CommandRunner, target: ProbeTarget, timeoutMs: number): Promise<ProbeReport> {
  const { id, icmp, pathMtu, tcp, udp } = target;
  const [echo, stream, datagrams] = await Promise.all([
    icmp === undefined ? undefined : probeIcmp(runner, target, icmp.count, timeoutMs),
    tcp === undefined ? undefined : probeTcp({ ...target, port: tcp.port }, tcp, timeoutMs),
    udp === undefined ? undefined : probeUdp(target, udp, timeoutMs, systemClock),
  ]);
  const size = pathMtu === undefined ? undefined : await probePathMtu(runner, target, pathMtu.maxBytes, timeoutMs);
  return {
    id,
    ...(echo === undefined ? {} : { icmp: echo }),
    ...(size === undefined ? {} : { pathMtu: size }),
    ...(stream === undefined ? {} : { tcp: stream }),
    ...(datagrams === undefined ? {} : { udp: datagrams }),
  };
}

function parseOrder(text: string): ProbeOrder {
  try {
    return JSON.parse(text) as ProbeOrder;
  } catch (cause) {
    throw new UsageError(`probe send: the order is not JSON: ${messageOf(cause)}`, { cause });
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
  const { targets, timeoutMs } = parseOrder(await firstLine());
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

/**
 * `probe send` reads an order from standard input and prints a report for each target; `probe serve [--port N]
 * [--seconds N]` answers probes until it is stopped. Changes nothing on the node.
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
  throw new UsageError(`"${verb}" is none of send, serve`);
}
