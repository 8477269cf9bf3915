import { readFileSync } from 'node:fs';

/** What a node's overlay link is used for. */
export interface OverlayUse {
  /** Packets that came over it since it was made. */
  readonly received: number;
  /** Whether the node sends anything over it to another one that passes it on. */
  readonly leadsOut: boolean;
}

const RECEIVED_PACKETS = 1;
const NO_GATEWAY = '00000000';

/** Words of the lines of a file. */
function rows(file: string): readonly (readonly string[])[] {
  const lines = readFileSync(file, 'latin1').split('\n');
  return lines.map((line) =>
    line
      .trim()
      .split(/[\s:]+/)
      .filter((word) => word !== ''),
  );
}

/**
 * From proc_net(5)'s `dev` and `route` (the main table), two files instead of a program, as it is asked many times a
 * second. undefined where there is no such link, or the files cannot be read.
 */
export function overlayUse(link: string, folder = '/proc/self/net'): OverlayUse | undefined {
  try {
    const counters = rows(`${folder}/dev`).find(([name]) => name === link);
    if (counters === undefined) return undefined;
    const routes = rows(`${folder}/route`).filter(([name]) => name === link);
    return {
      received: Number(counters[1 + RECEIVED_PACKETS]),
      leadsOut: routes.some(([, , gateway]) => gateway !== NO_GATEWAY),
    };
  } catch {
    return undefined;
  }
}
