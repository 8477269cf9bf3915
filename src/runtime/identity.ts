import { readlinkSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';

/** A process, as another one on the same machine can look for it. */
export interface ProcessPlace {
  readonly host: string;
  /** Where the number means something: the PID namespace, '' where there are none. */
  readonly space: string;
  readonly pid: number;
}

/** This process, and whose it is. */
export function ownIdentity(): ProcessPlace & { readonly user: string } {
  return { user: userName(), host: hostname(), space: pidNamespace(), pid: process.pid };
}

/** In a container there may be none for the number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'somebody';
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** Whether a process is known to have ended: false for one that cannot be seen from here. */
export function hasEnded({ host, space, pid }: ProcessPlace): boolean {
  const own = ownIdentity();
  if (host !== own.host || space !== own.space || pid === own.pid) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
