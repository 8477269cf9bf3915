import { connect, type Socket } from 'node:net';
import type { Sample, TcpReport } from './report.ts';
import type { EchoAddress } from './udp-stream.ts';

const CONNECT_MS = 1000;
const AGAIN_MS = 100;

/**
 * Numbered lines on one connection, and their echoes. A connection that ends is told and made anew.
 *
 * INVARIANTS: there is at most one connection; a line belongs to the connection it was written to and is never repeated.
 */
export class TcpStream {
  readonly #to: EchoAddress;
  readonly #onBack: () => void;
  readonly #lines: { sentMs: number; backMs: number | undefined }[] = [];
  readonly #resets: { at: number; why: string }[] = [];
  #socket: Socket | undefined;
  #held = '';
  #again: NodeJS.Timeout | undefined;
  #begun = false;
  #closed = false;

  /** Connects; `onBack` is called with every line that has come back. */
  constructor(to: EchoAddress, onBack: () => void) {
    this.#to = to;
    this.#onBack = onBack;
    this.#connect();
  }

  get lines(): readonly Sample[] {
    return this.#lines;
  }

  get resets(): TcpReport['resets'] {
    return this.#resets;
  }

  get complete(): boolean {
    return this.#lines.every(({ backMs }) => backMs !== undefined);
  }

  /** Writes the next line; between two connections it is lost at once, before the first none is written. */
  send(): void {
    if (!this.#begun) return;
    const number = this.#lines.length;
    this.#lines.push({ sentMs: performance.now(), backMs: undefined });
    this.#socket?.write(`${number}\n`);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#again);
    this.#socket?.destroy();
  }

  #connect(): void {
    const socket = connect({ host: this.#to.host, port: this.#to.port, noDelay: true });
    let why = 'the other side closed the connection';
    let open = false;
    const slow = setTimeout(() => socket.destroy(), CONNECT_MS);
    socket.once('connect', () => {
      clearTimeout(slow);
      open = true;
      this.#begun = true;
      this.#held = '';
      this.#socket = socket;
    });
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString()));
    socket.on('error', (error) => (why = error.message));
    socket.once('close', () => {
      clearTimeout(slow);
      if (this.#closed) return;
      if (open) this.#resets.push({ at: Date.now(), why });
      this.#socket = undefined;
      this.#again = setTimeout(() => this.#connect(), AGAIN_MS);
    });
  }

  #take(text: string): void {
    const lines = (this.#held + text).split('\n');
    this.#held = lines.pop() ?? '';
    for (const line of lines) {
      const sent = this.#lines[Number(line)];
      if (sent === undefined || sent.backMs !== undefined) continue;
      sent.backMs = performance.now();
      this.#onBack();
    }
  }
}
