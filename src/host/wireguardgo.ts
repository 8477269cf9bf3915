import { mkdirSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import path from 'node:path';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import {
  INHERITED_DESCRIPTOR,
  daemonOutput,
  findDaemon,
  findProgram,
  startDaemon,
  stopDaemon,
  waitFor,
  wasStarted,
} from './daemon.ts';
import { takenPort } from './port-owner.ts';
import type { CommandRunner } from './command.ts';
import { hideSocket, openListening, showSocket } from './uapisocket.ts';
import { parseUapi, renderUapi, type DeviceChange, type ObservedDevice } from './wg.ts';

/** A WireGuard link, whoever makes it. */
export interface WireguardDevice {
  observe(): Promise<ObservedDevice>;
  apply(change: DeviceChange): Promise<void>;
}

const ANSWER_MS = 3000;
const START_MS = 5000;
const END_MS = 1000;
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const ADDRESS_IN_USE = 98;

/** One operation of the userspace API: the text up to the empty line. Rejects with ExpectedError. */
export async function askUapi(socketPath: string, question: string, timeoutMs = ANSWER_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path: socketPath });
    let answer = '';
    const fail = (reason: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ExpectedError(`wireguard-go at ${socketPath}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
    socket.once('error', (error) => fail(error.message));
    socket.once('close', () => fail('the connection ended'));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      answer += chunk;
      if (answer.length > MAX_ANSWER_BYTES) fail('the answer does not end');
      if (!answer.endsWith('\n\n')) return;
      clearTimeout(timer);
      socket.removeAllListeners('close');
      socket.destroy();
      resolve(answer);
    });
    socket.write(question);
  });
}

/**
 * wireguard-go as a process that outlives this one: adopted through its socket, started when there is none, ended only
 * by `stop`. The link lives as long as the process.
 */
export class WireguardGo implements WireguardDevice {
  readonly #dependencies: {
    readonly runner: CommandRunner;
    readonly folder: string;
    readonly link: string;
    readonly namespace?: string;
  };
  readonly #listeners = new Set<() => void>();
  #watch: Socket | undefined;
  #restarted = false;

  constructor(dependencies: {
    readonly runner: CommandRunner;
    readonly folder: string;
    readonly link: string;
    readonly namespace?: string;
  }) {
    this.#dependencies = dependencies;
  }

  /** Calls back when the process ends. */
  onEnd(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Whether a process is there, whoever started it. */
  get running(): boolean {
    return findDaemon(this.#dependencies.folder) !== undefined;
  }

  /** Whether a process was started in place of another that had ended by itself or did not answer; says so once. */
  takeRestarted(): boolean {
    const restarted = this.#restarted;
    this.#restarted = false;
    return restarted;
  }

  /** Resolves when the link of a process that ended by itself is gone, which takes a moment; a link of others stays. */
  async awaitEnd(signal?: AbortSignal): Promise<void> {
    const { folder, runner, link } = this.#dependencies;
    if (this.running || !wasStarted(folder)) return;
    const gone = async (): Promise<boolean> =>
      (await runner.run('ip', ['link', 'show', 'dev', link], { okExitCodes: [0, 1] })).stdout === '';
    await waitFor(gone, END_MS, signal);
  }

  /** Adopts the process that runs, or starts one; resolves when it answers. */
  async ensure(signal?: AbortSignal): Promise<void> {
    const { folder } = this.#dependencies;
    const restarted = wasStarted(folder);
    if (this.running) {
      try {
        await this.observe();
        this.#watchEnd();
        return;
      } catch {
        await stopDaemon(folder);
      }
    }
    await this.#start(signal);
    this.#restarted = restarted;
    this.#watchEnd();
  }

  async observe(): Promise<ObservedDevice> {
    return parseUapi(await askUapi(this.#socket, 'get=1\n\n'));
  }

  async apply(change: DeviceChange): Promise<void> {
    const errno = /^errno=(-?\d+)$/m.exec(await askUapi(this.#socket, renderUapi(change)))?.[1];
    if (errno === '0') return;
    const { runner, link } = this.#dependencies;
    if (Math.abs(Number(errno)) === ADDRESS_IN_USE && change.listenPort !== undefined) {
      const taken = await takenPort(runner, change.listenPort, 'WireGuard');
      if (taken !== undefined) throw taken;
    }
    throw new ExpectedError(`wireguard-go refused a change of link ${link} (errno ${errno ?? 'missing'})`, {
      hint: 'https://www.wireguard.com/xplatform/ explains the errors of the userspace API.',
    });
  }

  /** Ends the process; its link goes with it. */
  async stop(how: 'asked' | 'at once' = 'asked'): Promise<void> {
    this.#watch?.destroy();
    this.#watch = undefined;
    await stopDaemon(this.#dependencies.folder, how);
    rmSync(this.#socket, { force: true });
    hideSocket(this.#dependencies.link);
  }

  get #runFolder(): string {
    return path.join(this.#dependencies.folder, 'run');
  }

  get #socket(): string {
    return path.join(this.#runFolder, `${this.#dependencies.link}.sock`);
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    const { folder, link, namespace } = this.#dependencies;
    if (findProgram('wireguard-go') === undefined) {
      throw new ExpectedError(
        'the kernel has no WireGuard and wireguard-go is not installed (Debian packages wireguard-go, wireguard-tools)',
        {
          hint: 'apt-get install -y wireguard-go wireguard-tools, or use a kernel with WireGuard.',
        },
      );
    }
    mkdirSync(this.#runFolder, { recursive: true, mode: 0o700 });
    // Its socket is where we find it again, whatever becomes of the folder it would take; all it needs there is a name.
    const socket = await openListening(this.#socket);
    try {
      showSocket(link, this.#socket);
      await startDaemon({
        file: 'wireguard-go',
        args: ['-f', link],
        env: { LOG_LEVEL: 'error', WG_UAPI_FD: String(INHERITED_DESCRIPTOR) },
        folder,
        inherited: socket.descriptor,
        ...(namespace === undefined ? {} : { namespace }),
      });
    } finally {
      socket.release();
    }
    let last: unknown = 'it ended at once';
    const ready = async (): Promise<boolean> => {
      if (!this.running) throw this.#failure(last);
      try {
        await this.observe();
        return true;
      } catch (error) {
        last = error;
        return false;
      }
    };
    if (await waitFor(ready, START_MS, signal)) return;
    await this.stop();
    throw this.#failure(last);
  }

  #failure(reason: unknown): ExpectedError {
    const said = daemonOutput(this.#dependencies.folder);
    return new ExpectedError(
      `wireguard-go does not start: ${messageOf(reason)}${said === '' ? '' : `; it said: ${said}`}`,
      {
        hint: 'It needs /dev/net/tun and the capability NET_ADMIN.',
      },
    );
  }

  /** The kernel closes an idle connection to the socket when the process ends, however it does. */
  #watchEnd(): void {
    if (this.#watch?.destroyed === false) return;
    const watch = createConnection({ path: this.#socket });
    watch.unref();
    watch.on('error', () => undefined);
    watch.once('close', () => {
      if (this.#watch !== watch) return;
      this.#watch = undefined;
      for (const listener of this.#listeners) listener();
    });
    this.#watch = watch;
  }
}
