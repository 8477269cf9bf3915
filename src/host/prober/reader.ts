import type { Socket } from 'node:net';

/** Longest first line is read. */
const MAX_LINE = 4096;

/**
 * Reads a socket line by line or by count.
 *
 * INVARIANTS: no byte is lost or given twice; every wait ends when the socket does, by rejecting.
 */
export class SocketReader {
  readonly #socket: Socket;
  #held: Buffer[] = [];
  #length = 0;
  #ended: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #take = (chunk: Buffer): void => {
    this.#held.push(chunk);
    this.#length += chunk.length;
    this.#wake?.();
  };

  /** `held` has been read already. */
  constructor(socket: Socket, held: Buffer = Buffer.alloc(0)) {
    this.#socket = socket;
    this.#take(held);
    socket.on('data', this.#take);
    const end = (error?: Error): void => {
      this.#ended ??= error ?? new Error('the connection ended too early');
      this.#wake?.();
    };
    socket.once('error', end);
    socket.once('end', () => end());
    socket.once('close', () => end());
  }

  /** The next line, without its end. */
  async line(): Promise<string> {
    for (;;) {
      const all = this.#joined();
      const at = all.indexOf(10);
      if (at !== -1) return this.#cut(at + 1).toString('utf8', 0, at);
      if (all.length > MAX_LINE) throw new Error('the line is too long');
      await this.#more();
    }
  }

  async bytes(count: number): Promise<Buffer> {
    while (this.#length < count) await this.#more();
    return this.#cut(count);
  }

  /** Gives everything that comes from now on, and what is held already, to `take`. */
  passTo(take: (chunk: Buffer) => void): void {
    this.#socket.off('data', this.#take);
    if (this.#length > 0) take(this.#cut(this.#length));
    this.#socket.on('data', take);
  }

  #joined(): Buffer {
    const all = this.#held.length === 1 && this.#held[0] !== undefined ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [all];
    return all;
  }

  #cut(count: number): Buffer {
    const all = this.#joined();
    this.#held = [all.subarray(count)];
    this.#length = all.length - count;
    return all.subarray(0, count);
  }

  async #more(): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = undefined;
  }
}
