import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '../runtime/logger.ts';
import { DRIVER_NAMES, type CableDriverName } from './config.ts';
import type { CableDriver } from './drivers/driver.ts';

export interface FormerDriverOptions {
  readonly stateDir: string;
  readonly create: (name: CableDriverName) => Pick<CableDriver, 'cleanup'>;
  readonly logger: Logger;
}

/** Which cable driver ran on this node last, as the state folder remembers. Nothing here rejects or throws. */
export class FormerDriver {
  readonly #options: FormerDriverOptions;

  constructor(options: FormerDriverOptions) {
    this.#options = options;
  }

  /**
   * Removes what another driver than the present one left on this node, and notes the present one. What could not be
   * removed is logged and tried at the next start.
   */
  async retire(present: CableDriverName): Promise<void> {
    const { create, logger } = this.#options;
    const former = DRIVER_NAMES.find((name) => name === readName(this.#file));
    if (former === present) return;
    try {
      if (former !== undefined) {
        logger.info('the cable driver was changed, removing what the former one made', { former, present });
        await create(former).cleanup();
      }
      this.#write(present);
    } catch (error) {
      logger.warn('could not retire the former cable driver', { former, present, error });
    }
  }

  /** Notes the present driver when nothing of the former one is left that it would not remove itself. */
  note(present: CableDriverName): void {
    try {
      this.#write(present);
    } catch (error) {
      this.#options.logger.warn('could not note the cable driver', { present, error });
    }
  }

  get #file(): string {
    return path.join(this.#options.stateDir, 'driver');
  }

  #write(present: CableDriverName): void {
    mkdirSync(this.#options.stateDir, { recursive: true });
    writeFileSync(`${this.#file}.new`, `${present}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}

function readName(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
