import { readFileSync } from 'node:fs';
import type { MachineFacts } from './containersconf.ts';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** What podman's set-up depends on, as this machine has it now. */
export function machineFacts(): MachineFacts {
  return {
    processStatus: read('/proc/self/status') ?? '',
    limits: read('/proc/self/limits') ?? '',
    pidMax: read('/proc/sys/kernel/pid_max') ?? '',
    hybridControllers: read('/sys/fs/cgroup/unified/cgroup.controllers'),
  };
}
