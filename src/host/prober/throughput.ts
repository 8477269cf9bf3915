import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { systemClock } from '../../runtime/clock.ts';
import { readCpu, readRetransmits } from '../cpu.ts';
import { connectProber } from './connection.ts';
import { cpuUse, Marker } from './marks.ts';
import type { ThroughputOrder, ThroughputReport } from './measurements.ts';

const BLOCK_BYTES = 256 * 1024;
const CONNECT_MS = 10_000;
/** How long the machines are watched before anything is sent. */
const IDLE_MS = 1000;

/** Writes without end, as fast as the connection takes it. */
function fill(socket: Socket): void {
  const block = Buffer.alloc(BLOCK_BYTES, 'subctl');
  const pump = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on('drain', pump);
  pump();
}

/**
 * Sends over several connections at a time and asks the other side how much has arrived: what is under way counts for
 * nothing. Rejects when the other side cannot be reached or breaks off.
 */
export async function runThroughput(order: ThroughputOrder, signal: AbortSignal): Promise<ThroughputReport> {
  const { streams, seconds, warmupSeconds, ...target } = order;
  const run = randomBytes(8).toString('hex');
  const marker = await Marker.open(target, run, CONNECT_MS);
  const sockets: Socket[] = [];
  try {
    const [before, beforeThere] = [readCpu(), await marker.now()];
    await systemClock.sleep(IDLE_MS, signal);
    const [idle, idleThere] = [readCpu(), await marker.now()];
    for (let stream = 0; stream < streams; stream += 1) {
      sockets.push((await connectProber(target, { sink: run }, CONNECT_MS)).socket);
    }
    const marks = marker.after(warmupSeconds, warmupSeconds + seconds);
    marks.catch(() => undefined);
    sockets.forEach(fill);
    await systemClock.sleep(warmupSeconds * 1000, signal);
    const [start, sentBefore] = [readCpu(), readRetransmits()];
    await systemClock.sleep(seconds * 1000, signal);
    const [end, sentAfter] = [readCpu(), readRetransmits()];
    const broken = sockets.filter((socket) => socket.destroyed).length;
    if (broken > 0) throw new Error(`${broken} of ${streams} connections broke`);
    for (const socket of sockets) socket.destroy();
    const [startThere, endThere] = await marks;
    const measured = endThere.cpu.at - startThere.cpu.at;
    const bytes = endThere.bytes - startThere.bytes;
    return {
      bytes,
      seconds: Math.round(measured * 1000) / 1000,
      bitsPerSecond: Math.round((bytes * 8) / measured),
      streams,
      ...(sentBefore === undefined || sentAfter === undefined ? {} : { retransmits: sentAfter - sentBefore }),
      client: cpuUse([before, idle], [start, end]),
      server: cpuUse([beforeThere.cpu, idleThere.cpu], [startThere.cpu, endThere.cpu]),
    };
  } finally {
    marker.close();
    for (const socket of sockets) socket.destroy();
  }
}
