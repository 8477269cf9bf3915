import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { OWN_MARK, onlyLogsDiffer, renderCharonConf } from './charon-conf.ts';
import { CHARON_PACKAGES, CHARON_PROGRAM, assertInstalled } from './charon-program.ts';
import { lastTroubles, startProblem } from './charon-trouble.ts';
import type { CommandRunner } from './command.ts';
import { daemonOutput, findDaemon, readTail, startDaemon, stopDaemon, waitFor, wasStarted } from './daemon.ts';
import type { EspSupport } from './esp.ts';
import { takenPort } from './port-owner.ts';
import { tunLinksOf } from './tun.ts';
import { connectVici, type ViciClient } from './vici/client.ts';

const EVENTS = ['ike-updown', 'child-updown'] as const;
const START_MS = 10_000;
const ADOPT_MS = 3000;
const END_MS = 1000;

export interface CharonDependencies {
  readonly runner: CommandRunner;
  readonly logger: Logger;
  /** Folder of its configuration, socket, log and record. */
  readonly folder: string;
  readonly udpPort: number;
  /** Route table for what it insists on routing itself. */
  readonly table: number;
  /** Whether the kernel encrypts. */
  readonly esp: () => Promise<EspSupport>;
  readonly retransmitTimeoutSeconds: number;
  readonly retransmitTries: number;
  readonly debug: boolean;
  readonly namespace?: string;
}

/**
 * One charon that outlives this process: started when there is none, adopted when a former process left it, ended only
 * by `stop`.
 *
 * INVARIANTS:
 * - single flight: at most one attempt to connect or start runs at a time;
 * - a charon that runs with another configuration, or does not answer, is ended before a new one starts;
 * - the connection is only a way in: all that is known of tunnels is asked for anew.
 */
export class Charon {
  readonly #dependencies: CharonDependencies;
  readonly #listeners = new Set<() => void>();
  #client: ViciClient | undefined;
  #attempt: Promise<ViciClient> | undefined;
  #restarted = false;
  /** Only to wait for its end. */
  #lastLink: string | undefined;

  constructor(dependencies: CharonDependencies) {
    this.#dependencies = dependencies;
  }

  /** Calls back when tunnels go up or down and when charon goes away. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Whether a charon was started from the folder and not stopped, whether or not it still runs. */
  get present(): boolean {
    return wasStarted(this.#dependencies.folder);
  }

  /** The tun link the charon that runs has made for userland ESP: charon takes the first free name of ipsec0, ipsec1, … */
  get link(): string | undefined {
    const daemon = findDaemon(this.#dependencies.folder);
    if (daemon === undefined) return undefined;
    this.#lastLink = tunLinksOf(daemon.pid)[0];
    return this.#lastLink;
  }

  /** Whether a charon was started in place of another that had ended by itself or did not answer; says so once. */
  takeRestarted(): boolean {
    const restarted = this.#restarted;
    this.#restarted = false;
    return restarted;
  }

  /** A connection to a charon that runs; starts one when needed. Rejects with what the operator has to do. */
  async ensure(signal?: AbortSignal): Promise<ViciClient> {
    const running = this.#running();
    if (running !== undefined) return running;
    this.#attempt ??= this.#connectOrStart(signal).finally(() => (this.#attempt = undefined));
    return this.#attempt;
  }

  /** A connection to the charon that runs; undefined when there is none. Starts nothing. */
  async attach(): Promise<ViciClient | undefined> {
    const running = this.#running();
    if (running !== undefined || findDaemon(this.#dependencies.folder) === undefined) return running;
    try {
      return await this.#connect();
    } catch {
      return undefined;
    }
  }

  /** Why connections are not up, by name, as far as charon's log of late says. */
  troubles(): ReadonlyMap<string, string> {
    return lastTroubles(readTail(this.#file('charon.log')));
  }

  /** Lets go of the connection; charon goes on. */
  release(): void {
    this.#client?.close();
    this.#client = undefined;
  }

  /** Ends charon and with it all tunnels. */
  async stop(): Promise<void> {
    this.release();
    await stopDaemon(this.#dependencies.folder);
    await this.removeTraces();
  }

  /** Kills charon, which can tell nobody; its traces stay. */
  async kill(): Promise<void> {
    this.release();
    await stopDaemon(this.#dependencies.folder, 'at once');
  }

  /** Removes what a charon that is gone has left. */
  async removeTraces(): Promise<void> {
    rmSync(this.#file('charon.vici'), { force: true });
    await this.#removeRule();
  }

  /** A charon that was killed leaves its rule behind; by the mark it cannot be another program's. */
  async #removeRule(): Promise<void> {
    const { runner, table } = this.#dependencies;
    const { stdout } = await runner.run('ip', ['-4', 'rule', 'show']);
    const own = new RegExp(`^(\\d+):\\s+not from all fwmark ${OWN_MARK} lookup ${table}\\s*$`, 'gm');
    for (const [, priority = ''] of stdout.matchAll(own)) {
      const words = ['not', 'fwmark', OWN_MARK, 'pref', priority, 'lookup', String(table)];
      await runner.run('ip', ['-4', 'rule', 'del', ...words]);
    }
  }

  #file(name: string): string {
    return path.join(this.#dependencies.folder, name);
  }

  #running(): ViciClient | undefined {
    if (this.#client?.open !== true || findDaemon(this.#dependencies.folder) === undefined) return undefined;
    return this.#client;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  async #connectOrStart(signal: AbortSignal | undefined): Promise<ViciClient> {
    const { folder, logger } = this.#dependencies;
    const conf = await this.#conf();
    const restarted = this.present;
    if (findDaemon(folder) !== undefined) {
      const adopted = await this.#adopt(conf, signal);
      if (adopted !== undefined) return adopted;
      logger.warn('charon does not answer or has another configuration, starting a new one');
      await stopDaemon(folder);
    }
    await this.#start(conf, signal);
    this.#restarted = restarted;
    return this.#awaitStart(signal);
  }

  async #conf(): Promise<string> {
    const { udpPort, retransmitTimeoutSeconds, retransmitTries, debug, table, esp } = this.#dependencies;
    const { kernel } = await esp();
    return renderCharonConf({
      esp: kernel ? 'kernel' : 'userland',
      viciSocket: this.#file('charon.vici'),
      logFile: this.#file('charon.log'),
      udpPort,
      table,
      retransmitTimeoutSeconds,
      retransmitTries,
      debug,
    });
  }

  async #adopt(conf: string, signal: AbortSignal | undefined): Promise<ViciClient | undefined> {
    const former = readText(this.#file('strongswan.conf'));
    const talkative = former !== undefined && onlyLogsDiffer(former, conf);
    if (former !== conf && !talkative) return undefined;
    const connected = async (): Promise<boolean> => {
      if (findDaemon(this.#dependencies.folder) === undefined) return true;
      try {
        await this.#connect();
        return true;
      } catch {
        return false;
      }
    };
    await waitFor(connected, ADOPT_MS, signal);
    if (talkative) await this.#reload(conf);
    return this.#running();
  }

  async #reload(conf: string): Promise<void> {
    writeFileSync(this.#file('strongswan.conf'), conf, { mode: 0o600 });
    await this.#client?.command('reload-settings', {});
  }

  async #connect(): Promise<ViciClient> {
    const client = await connectVici(this.#file('charon.vici'));
    try {
      await client.request('version', {}, ADOPT_MS);
      for (const event of EVENTS) await client.on(event, () => this.#notify());
    } catch (error) {
      client.close();
      throw error;
    }
    client.onClose(() => {
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#notify();
    });
    this.#client = client;
    return client;
  }

  async #start(conf: string, signal: AbortSignal | undefined): Promise<void> {
    const { folder, logger, namespace } = this.#dependencies;
    assertInstalled();
    await this.#assertPortFree(signal);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const file of ['charon.vici', 'charon.log']) rmSync(this.#file(file), { force: true });
    writeFileSync(this.#file('strongswan.conf'), conf, { mode: 0o600 });
    const record = await startDaemon({
      file: CHARON_PROGRAM,
      args: [],
      env: { STRONGSWAN_CONF: this.#file('strongswan.conf') },
      folder,
      ...(namespace === undefined ? {} : { namespace }),
    });
    logger.info('charon started', { pid: record.pid });
  }

  /** charon itself goes on without a socket when its port is taken. */
  async #assertPortFree(signal: AbortSignal | undefined): Promise<void> {
    const { runner, udpPort } = this.#dependencies;
    if (this.present) await waitFor(() => this.#isGone(), END_MS, signal);
    const taken = await takenPort(runner, udpPort, 'IPsec');
    if (taken !== undefined) throw taken;
  }

  /** A charon that was killed has its port and its link, whose name the next one is to get, for a moment still. */
  async #isGone(): Promise<boolean> {
    const { runner, udpPort } = this.#dependencies;
    if ((await takenPort(runner, udpPort, 'IPsec')) !== undefined) return false;
    if (this.#lastLink === undefined) return true;
    const { stdout } = await runner.run('ip', ['link', 'show', 'dev', this.#lastLink], { okExitCodes: [0, 1] });
    return stdout === '';
  }

  async #awaitStart(signal: AbortSignal | undefined): Promise<ViciClient> {
    const { folder } = this.#dependencies;
    let last: unknown;
    const ready = async (): Promise<boolean> => {
      if (findDaemon(folder) === undefined) throw this.#startFailure('it ended at once');
      try {
        await this.#connect();
        return true;
      } catch (error) {
        last = error;
        return false;
      }
    };
    if (await waitFor(ready, START_MS, signal)) {
      const client = this.#client;
      const problem = startProblem(readText(this.#file('charon.log')) ?? '');
      if (client !== undefined && problem === undefined) return client;
      last = problem ?? 'the connection broke';
    }
    await this.stop();
    throw this.#startFailure(messageOf(last));
  }

  #startFailure(reason: string): ExpectedError {
    const { folder } = this.#dependencies;
    const said = daemonOutput(folder, 'charon.log') || daemonOutput(folder);
    return new ExpectedError(`charon does not start: ${reason}${said === '' ? '' : `; it said: ${said}`}`, {
      hint: `Look at ${this.#file('charon.log')}; needed are the packages ${CHARON_PACKAGES}.`,
    });
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
