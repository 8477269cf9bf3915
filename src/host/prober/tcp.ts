import { createConnection, type Socket } from 'node:net';
import { messageOf } from '../../runtime/errors.ts';
import type { ProbeTarget, TcpAnswer, TcpAsk, TcpReport } from './protocol.ts';

type Where = Pick<ProbeTarget, 'address' | 'source'> & { readonly port: number };

interface Exchange {
  readonly connectMs: number | null;
  readonly answer: TcpAnswer | undefined;
  readonly downBytes: number;
  readonly failure: string;
}

/** What is known of a conversation under way. */
interface Progress {
  connectMs: number | null;
  head: Buffer;
  answer: TcpAnswer | undefined;
  downBytes: number;
}

function parseAnswer(line: string): TcpAnswer | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null && 'clientIP' in parsed ? (parsed as TcpAnswer) : undefined;
  } catch {
    return undefined;
  }
}

/** Takes what has come; false for what no prober says. */
function take(progress: Progress, chunk: Buffer): boolean {
  if (progress.answer !== undefined) {
    progress.downBytes += chunk.length;
    return true;
  }
  progress.head = Buffer.concat([progress.head, chunk]);
  const end = progress.head.indexOf('\n');
  if (end === -1) return progress.head.length < 100_000;
  progress.answer = parseAnswer(progress.head.subarray(0, end).toString('utf8'));
  progress.downBytes = progress.head.length - end - 1;
  return progress.answer !== undefined;
}

function describeSilence({ connectMs, answer, downBytes }: Progress, ask: TcpAsk, timeoutMs: number): string {
  const waited = `for ${timeoutMs / 1000} s`;
  if (connectMs === null) return `no TCP handshake within ${timeoutMs / 1000} s`;
  if (answer !== undefined) return `stalled ${waited} after ${downBytes} of ${ask.down ?? 0} bytes`;
  return (ask.up ?? 0) > 0 ? `connected, but sending ${ask.up} bytes stalled ${waited}` : `no answer ${waited}`;
}

/** One conversation with a server; never rejects. The time limit starts anew with everything that comes. */
export function exchangeTcp(where: Where, ask: TcpAsk, timeoutMs: number): Promise<Exchange> {
  const { address, port, source } = where;
  const progress: Progress = { connectMs: null, head: Buffer.alloc(0), answer: undefined, downBytes: 0 };
  const startedMs = performance.now();
  return new Promise((resolve) => {
    const socket: Socket = createConnection({
      host: address,
      port,
      ...(source === undefined ? {} : { localAddress: source }),
    });
    let timer: NodeJS.Timeout | undefined;
    const finish = (failure: string): void => {
      clearTimeout(timer);
      socket.destroy();
      const { connectMs, answer, downBytes } = progress;
      resolve({ connectMs, answer, downBytes, failure });
    };
    const restart = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => finish(describeSilence(progress, ask, timeoutMs)), timeoutMs);
    };
    restart();
    socket.on('connect', () => {
      progress.connectMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
      socket.write(`${JSON.stringify(ask)}\n`);
      if ((ask.up ?? 0) > 0) socket.write(Buffer.alloc(ask.up ?? 0));
      restart();
    });
    socket.on('data', (chunk: Buffer) => {
      if (take(progress, chunk)) restart();
      else finish('what answers there is no prober');
    });
    socket.on('error', (error) => finish(messageOf(error)));
    socket.on('end', () => finish(progress.answer === undefined ? 'closed without an answer' : ''));
  });
}

/** Sends and fetches bytes over one connection; never rejects. */
export async function probeTcp(
  where: Where,
  { upBytes, downBytes }: NonNullable<ProbeTarget['tcp']>,
  timeoutMs: number,
): Promise<TcpReport> {
  const exchange = await exchangeTcp(where, { up: upBytes, down: downBytes }, timeoutMs);
  const { answer, connectMs } = exchange;
  const short = answer !== undefined && exchange.downBytes < downBytes ? 'the connection ended early' : '';
  const failure = exchange.failure === '' ? short : exchange.failure;
  return {
    ok: failure === '',
    connectMs,
    clientIP: answer?.clientIP ?? '',
    upBytes: answer?.received ?? 0,
    downBytes: exchange.downBytes,
    failure,
  };
}
