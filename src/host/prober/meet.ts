import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../runtime/errors.ts';
import type { CommandRunner } from '../command.ts';
import { takenPort } from '../port-owner.ts';
import { openUdpSocket, type UdpSocket } from '../udp.ts';
import { parseDatagram, renderDatagram, type MeetOrder, type MeetReport, type MeetSend } from './protocol.ts';

/** Numbers of answers are those of the questions, and this. */
const ANSWER = 0x8000_0000;
/** Between two datagrams of one way. */
const PACE_MS = 100;

interface Doors {
  readonly open: ReadonlyMap<number, UdpSocket>;
  readonly taken: MeetReport['taken'];
}

async function openDoors(runner: CommandRunner, ports: readonly number[]): Promise<Doors> {
  const open = new Map<number, UdpSocket>();
  const taken: { port: number; reason: string }[] = [];
  for (const port of ports) {
    try {
      open.set(port, await openUdpSocket(port));
    } catch (error) {
      const owner = await takenPort(runner, port, 'a gateway').catch(() => undefined);
      taken.push({ port, reason: (owner ?? new Error(messageOf(error))).message });
    }
  }
  return { open, taken };
}

/** Datagrams of one meeting that came in, by the number of the way. */
class Heard {
  readonly #session: string;
  readonly questions = new Set<number>();
  readonly answers = new Set<number>();

  constructor(session: string) {
    this.#session = session;
  }

  /** Notes a datagram; gives the answer to a question. */
  note(datagram: Buffer): Buffer | undefined {
    const parsed = parseDatagram(datagram);
    if (parsed?.session !== this.#session) return undefined;
    if (parsed.number >= ANSWER) {
      this.answers.add(parsed.number - ANSWER);
      return undefined;
    }
    this.questions.add(parsed.number);
    return renderDatagram(this.#session, parsed.number + ANSWER, datagram.length + LOWER_HEADERS_BYTES);
  }
}

const LOWER_HEADERS_BYTES = 28;

/** Asks every way that has not answered, again and again. */
async function ask(
  { session }: MeetOrder,
  sends: readonly MeetSend[],
  { open, heard, signal }: { readonly open: Doors['open']; readonly heard: Heard; readonly signal: AbortSignal },
): Promise<ReadonlyMap<number, string>> {
  const failures = new Map<number, string>();
  while (!signal.aborted) {
    for (const { way, local, port, address, bytes } of sends.filter(({ way: number }) => !heard.answers.has(number))) {
      const sent = open.get(local)?.send(renderDatagram(session, way, bytes), { ip: address, port });
      await sent?.then(
        () => failures.delete(way),
        (error: unknown) => failures.set(way, messageOf(error)),
      );
    }
    await sleep(PACE_MS, undefined, { signal }).catch(() => undefined);
  }
  return failures;
}

/**
 * Takes the ports that a gateway would have and exchanges datagrams with those who do the same elsewhere, from port to
 * port, as tunnels do. Ends when the signal is aborted; the ports are free again then.
 */
export async function meet(
  runner: CommandRunner,
  order: MeetOrder,
  signal: AbortSignal,
  onReady: () => void,
): Promise<MeetReport> {
  const { open, taken } = await openDoors(runner, order.ports);
  const heard = new Heard(order.session);
  try {
    for (const socket of open.values()) {
      socket.onMessage((datagram, from) => {
        const answer = heard.note(Buffer.from(datagram));
        if (answer !== undefined) void socket.send(answer, from).catch(() => undefined);
      });
    }
    onReady();
    const sends = order.sends.filter(({ local }) => open.has(local));
    const failures = await ask(order, sends, { open, heard, signal });
    return {
      taken,
      heard: [...heard.questions],
      answered: [...heard.answers],
      failures: [...failures].map(([way, reason]) => ({ way, reason })),
    };
  } finally {
    for (const socket of open.values()) socket.close();
  }
}
