import type { NextDriver } from '../api/driverchange.ts';
import { messageOf } from '../runtime/errors.ts';
import type { CableDriverName } from './config.ts';
import type { DriverDependencies } from './drivers/dependencies.ts';
import type { CableDriver } from './drivers/driver.ts';
import type { FormerDriver } from './formerdriver.ts';

/** Where a driver is to work, and the links of another one that is prepared beside it. */
export type DriverPlace = Pick<DriverDependencies, 'privateIp' | 'udpPort' | 'beside'>;

export interface DriverSeatOptions {
  readonly createDriver: (at: DriverPlace, name: CableDriverName) => CableDriver;
  readonly former?: Pick<FormerDriver, 'retire' | 'note'> | undefined;
  readonly onDriver: (driver: CableDriver) => void;
}

interface Seat {
  readonly key: string;
  readonly name: CableDriverName;
  readonly driver: CableDriver;
}

type At = Pick<DriverPlace, 'privateIp' | 'udpPort'>;

/**
 * The cable driver that runs on this node, and the one that is prepared to take its place. Not to be called twice at a
 * time.
 */
export class DriverSeat {
  readonly #options: DriverSeatOptions;
  #running: Seat | undefined;
  #started = false;
  #released = false;
  #tidy: (() => Promise<void>) | undefined;
  #prepared: (Seat & { readonly config: Readonly<Record<string, string>> | undefined }) | undefined;
  #problem: string | undefined;
  #beside: readonly string[] = [];

  constructor(options: DriverSeatOptions) {
    this.#options = options;
  }

  /** The driver that was chosen last, whether or not it has started. */
  get running(): CableDriverName | undefined {
    return this.#running?.name;
  }

  get driver(): CableDriver | undefined {
    return this.#running?.driver;
  }

  /** What is prepared, for peers; undefined: nothing, or it does not work here. */
  get next(): NextDriver | undefined {
    const { name: backend, config } = this.#prepared ?? {};
    return backend === undefined || config === undefined ? undefined : { backend, config };
  }

  /** Why the next driver does not work here. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Starts this driver in place of the one that runs. Routes and guard of the former one stay until the first sync of the
   * new one replaces them; until then nothing passes.
   */
  async take(name: CableDriverName, at: At, signal: AbortSignal): Promise<CableDriver> {
    const key = keyOf(name, at);
    if (this.#running?.key !== key) await this.#replace(name, at);
    const { driver } = this.#running ?? this.#create(name, at);
    if (!this.#started) await driver.start(signal, this.#released ? 'release' : undefined);
    this.#started = true;
    return driver;
  }

  /** Removes what the former driver left, when the new one has done what is urgent. */
  async tidy(): Promise<void> {
    const tidy = this.#tidy;
    this.#tidy = undefined;
    this.#released = false;
    await tidy?.();
  }

  /** Makes ready what the next driver can have beside the one that runs; never rejects. */
  async prepare(name: CableDriverName, at: At, signal: AbortSignal): Promise<void> {
    const known = this.#prepared?.key === keyOf(name, at) ? this.#prepared : undefined;
    const seat = known ?? this.#create(name, at);
    try {
      this.#beside = await seat.driver.prepare(signal);
      this.#prepared = { ...seat, config: await seat.driver.backendConfig() };
      this.#problem = undefined;
    } catch (error) {
      this.#prepared = { ...seat, config: undefined };
      this.#problem = messageOf(error);
    }
  }

  async #replace(name: CableDriverName, at: At): Promise<void> {
    const { former, onDriver } = this.#options;
    const before = this.#running;
    const prepared = this.#prepared?.key === keyOf(name, at) ? this.#prepared : undefined;
    this.#running = undefined;
    this.#started = false;
    if (before !== undefined && before.name !== name) {
      this.#tidy = await before.driver.release();
      this.#released = true;
      former?.note(name);
    } else await former?.retire(name);
    this.#running = prepared ?? this.#create(name, at);
    this.#prepared = undefined;
    this.#beside = [];
    onDriver(this.#running.driver);
  }

  #create(name: CableDriverName, at: At): Seat {
    const driver = this.#options.createDriver({ ...at, beside: () => this.#beside }, name);
    return { key: keyOf(name, at), name, driver };
  }
}

function keyOf(name: CableDriverName, { privateIp, udpPort }: At): string {
  return `${name} ${privateIp}:${udpPort}`;
}
