import { writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Writes down the name of something a test makes on this machine, so that tools/leftovers.mjs finds it when the run is
 * interrupted: a sandbox with the folder that has its `state`, or namespaces by the prefix of their names. Returns the
 * name; does no more without SUBCTL_TEST_RUN=FOLDER.
 */
export function record(name: string, root = ''): string {
  const folder = process.env['SUBCTL_TEST_RUN'];
  if (folder !== undefined) writeFileSync(path.join(folder, name), root);
  return name;
}
