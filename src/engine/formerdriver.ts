import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '../runtime/logger.ts';
import type { CableDriver } from './drivers/driver.ts';

/**
 * Removes what another cable driver left on this node when the driver was changed, and notes the present one in the
 * state folder. Never rejects: what could not be removed is logged and tried at the next start.
 */
export async function retireFormerDriver<N extends string>(
  stateDir: string,
  present: N,
  {
    known,
    create,
    logger,
  }: { readonly known: readonly N[]; readonly create: (name: N) => CableDriver; readonly logger: Logger },
): Promise<void> {
  const file = path.join(stateDir, 'driver');
  const former = known.find((name) => name === readName(file));
  if (former === present) return;
  try {
    if (former !== undefined) {
      logger.info('the cable driver was changed, removing what the former one made', { former, present });
      await create(former).cleanup();
    }
    mkdirSync(stateDir, { recursive: true });
    writeFileSync(`${file}.new`, `${present}\n`);
    renameSync(`${file}.new`, file);
  } catch (error) {
    logger.warn('could not retire the former cable driver', { former, present, error });
  }
}

function readName(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
