import { randomBytes } from 'node:crypto';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import { openUdpSocket, type UdpSocket } from '../udp.ts';
import { parseDatagram, renderDatagram, type ProbeTarget, type UdpReport } from './protocol.ts';
import { exchangeTcp } from './tcp.ts';

/** Between two datagrams: a burst must not overflow the queues of a tunnel in userland. */
const PACE_MS = 5;

type Bursts = NonNullable<ProbeTarget['udp']>;

interface Sent {
  readonly bytes: number;
  readonly numbers: readonly number[];
}

/** Numbers of the datagrams of each burst, over all of them. */
function numbered(bursts: Bursts['bursts']): readonly Sent[] {
  let next = 0;
  return bursts.map(({ bytes, count }) => ({ bytes, numbers: Array.from({ length: count }, () => next++) }));
}

function total(sent: readonly Sent[]): number {
  return sent.reduce((sum, { numbers }) => sum + numbers.length, 0);
}

interface Echoes {
  readonly echoed: ReadonlySet<number>;
  readonly failure: string;
}

/** Sends every datagram and listens until all are back or the time is over; never rejects. */
async function sendBursts(
  target: Pick<ProbeTarget, 'address' | 'source'>,
  port: number,
  session: string,
  sent: readonly Sent[],
  timing: { readonly timeoutMs: number; readonly clock: Clock },
): Promise<Echoes> {
  const { timeoutMs, clock } = timing;
  const echoed = new Set<number>();
  let failure = '';
  const complete = new AbortController();
  let socket: UdpSocket | undefined;
  try {
    socket = await openUdpSocket(0, target.source ?? '0.0.0.0');
    socket.onMessage((datagram) => {
      const parsed = parseDatagram(Buffer.from(datagram));
      if (parsed?.session === session) echoed.add(parsed.number);
      if (echoed.size === total(sent)) complete.abort();
    });
    const to = { ip: target.address, port };
    for (const { bytes, number } of sent.flatMap(({ bytes, numbers }) =>
      numbers.map((number) => ({ bytes, number })),
    )) {
      await socket.send(renderDatagram(session, number, bytes), to).catch((error: unknown) => {
        failure = messageOf(error);
      });
      await clock.sleep(PACE_MS);
    }
    await clock.sleep(timeoutMs, complete.signal);
  } catch (error) {
    failure = messageOf(error);
  } finally {
    socket?.close();
  }
  return { echoed, failure };
}

/** Sends bursts of datagrams and counts what arrives there and what comes back; never rejects. */
export async function probeUdp(
  target: Pick<ProbeTarget, 'address' | 'source'>,
  { port, bursts, ask }: Bursts,
  timeoutMs: number,
  clock: Clock,
): Promise<UdpReport> {
  const session = randomBytes(8).toString('hex');
  const sent = numbered(bursts);
  const { echoed, failure } = await sendBursts(target, port, session, sent, { timeoutMs, clock });
  const heard = ask ? await exchangeTcp({ ...target, port }, { session }, timeoutMs) : undefined;
  const known = heard?.answer?.session;
  const arrived = new Set(known?.numbers);
  return {
    bursts: sent.map(({ bytes, numbers }) => ({
      bytes,
      sent: numbers.length,
      there: known === undefined ? null : numbers.filter((number) => arrived.has(number)).length,
      back: numbers.filter((number) => echoed.has(number)).length,
    })),
    clientIP: known?.clientIP ?? '',
    failure,
  };
}
