import { createConnection, type Socket } from 'node:net';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import {
  PACKET,
  PacketCutter,
  decodePacket,
  encodePacket,
  textAt,
  type ViciPacket,
  type ViciSection,
} from './codec.ts';

/** charon refused a command, does not answer, or is gone. */
export class ViciError extends ExpectedError {
  override readonly name: string = 'ViciError';
}

const DEFAULT_TIMEOUT_MS = 5000;

interface Pending {
  readonly what: string;
  readonly resolve: (packet: ViciPacket) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One connection to charon's VICI socket.
 *
 * INVARIANTS:
 * - charon answers requests in their order, so answers belong to the oldest pending request; one that timed out keeps
 *   its place until its answer came, which is then dropped;
 * - when the connection ends, for whatever reason, every pending request is rejected, once;
 * - streams run one after the other: their events carry no sign of the request they belong to.
 */
export class ViciClient {
  readonly #socket: Socket;
  readonly #cutter = new PacketCutter();
  readonly #pending: Pending[] = [];
  readonly #listeners = new Map<string, Set<(message: ViciSection) => void>>();
  readonly #closeListeners = new Set<() => void>();
  #streams: Promise<unknown> = Promise.resolve();
  #failure: ViciError | undefined;

  /** Takes over a connected socket. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
    socket.on('error', (error) => this.#end(`connection to charon failed: ${error.message}`));
    socket.on('close', () => this.#end('charon closed the connection'));
  }

  /** Whether requests can still be sent. */
  get open(): boolean {
    return this.#failure === undefined;
  }

  /** Ends the connection; pending requests are rejected. */
  close(): void {
    this.#end('the connection to charon was closed');
  }

  /** Calls back once, when the connection ends; at once when it has. */
  onClose(listener: () => void): void {
    if (this.open) this.#closeListeners.add(listener);
    else listener();
  }

  /** The answer to a command, whatever it says; rejects with ViciError. */
  async request(command: string, message: ViciSection = {}, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<ViciSection> {
    const packet = await this.#exchange(PACKET.request, command, message, timeoutMs);
    if (packet.type !== PACKET.response) throw new ViciError(`charon does not know the command ${command}`);
    return packet.message;
  }

  /** As `request`, but rejects with charon's words when it answers `success = no`. */
  async command(command: string, message: ViciSection = {}, timeoutMs = DEFAULT_TIMEOUT_MS): Promise<ViciSection> {
    const answer = await this.request(command, message, timeoutMs);
    if (textAt(answer, 'success') === 'no') {
      throw new ViciError(`charon refused ${command}: ${textAt(answer, 'errmsg') || 'no reason given'}`);
    }
    return answer;
  }

  /** Runs a command that answers with a stream of events; their messages in order. */
  async stream(
    command: string,
    event: string,
    message: ViciSection = {},
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<readonly ViciSection[]> {
    const run = async (): Promise<readonly ViciSection[]> => {
      const collected: ViciSection[] = [];
      const unsubscribe = await this.on(event, (part) => collected.push(part));
      try {
        await this.command(command, message, timeoutMs);
      } finally {
        if (this.open) await unsubscribe();
      }
      return collected;
    };
    const result = this.#streams.then(run, run);
    this.#streams = result;
    return result;
  }

  /** Registers for an event; the returned function ends that. */
  async on(event: string, listener: (message: ViciSection) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener);
    if (listeners.size === 1) await this.#subscribe(PACKET.register, event);
    return async () => {
      listeners.delete(listener);
      if (listeners.size === 0) await this.#subscribe(PACKET.unregister, event);
    };
  }

  async #subscribe(type: number, event: string): Promise<void> {
    const packet = await this.#exchange(type, event, {}, DEFAULT_TIMEOUT_MS);
    if (packet.type !== PACKET.confirm) throw new ViciError(`charon does not know the event ${event}`);
  }

  async #exchange(type: number, name: string, message: ViciSection, timeoutMs: number): Promise<ViciPacket> {
    if (this.#failure !== undefined) throw this.#failure;
    const bytes = encodePacket(type, name, message);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new ViciError(`charon did not answer ${name} within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#pending.push({
        what: name,
        resolve: (packet) => {
          clearTimeout(timer);
          resolve(packet);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.#socket.write(bytes);
    });
  }

  #receive(bytes: Buffer): void {
    try {
      for (const packet of this.#cutter.push(bytes)) this.#dispatch(decodePacket(packet));
    } catch (error) {
      this.#end(`charon sent something that is not VICI: ${messageOf(error)}`);
    }
  }

  #dispatch(packet: ViciPacket): void {
    if (packet.type === PACKET.event) {
      for (const listener of this.#listeners.get(packet.name) ?? []) listener(packet.message);
      return;
    }
    const pending = this.#pending.shift();
    if (pending === undefined) this.#end('charon answered a question nobody asked');
    else pending.resolve(packet);
  }

  #end(reason: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = new ViciError(reason);
    this.#socket.destroy();
    for (const { what, reject } of this.#pending.splice(0)) {
      reject(new ViciError(`${reason}, while ${what} was not answered`));
    }
    for (const listener of this.#closeListeners) listener();
    this.#closeListeners.clear();
  }
}

/** Connects to a VICI socket (a path); rejects with ViciError. */
export async function connectVici(path: string, timeoutMs = 2000): Promise<ViciClient> {
  const socket = createConnection({ path });
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ViciError(`cannot reach charon at ${path}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no connection within ${timeoutMs} ms`), timeoutMs);
    const onError = (error: Error): void => fail(error.message);
    socket.once('error', onError);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      resolve(new ViciClient(socket));
    });
  });
}
