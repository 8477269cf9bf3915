import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';

/** The route agent's part of the folder in which both daemons keep what they have to remember; the rest is the engine's. */
export const ROUTEAGENT_STATE = 'routeagent';

/** Removes entries of a state folder, and the folder itself once nothing of anybody is in it. */
export function removeState(stateDir: string, isMine: (entry: string) => boolean): void {
  for (const entry of entriesOf(stateDir).filter(isMine)) {
    rmSync(path.join(stateDir, entry), { recursive: true, force: true });
  }
  try {
    rmdirSync(stateDir);
  } catch {
    // Not empty, a mount point, or gone: all well.
  }
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
