import { readFileSync } from 'node:fs';

/** Clock ticks of /proc/stat in a second: the same on every architecture Linux has today (USER_HZ). */
const TICKS = 100;

/** Processor time of this machine and of this process. */
export interface CpuTimes {
  /** A clock that never jumps, in seconds. */
  readonly at: number;
  /** The kernel's boot ID: the same for everything on one machine until it starts anew. */
  readonly machine: string;
  readonly cores: number;
  /** Seconds that the cores were busy, without what a hypervisor took away. */
  readonly busy: number;
  /** Seconds that this process was. */
  readonly own: number;
}

/** Busy seconds and number of cores in the text of /proc/stat. */
export function parseProcStat(text: string): { readonly busy: number; readonly cores: number } {
  const lines = text.split('\n');
  const fields = (lines[0] ?? '').trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  const cores = lines.filter((line) => /^cpu\d/.test(line)).length;
  return { busy: (user + nice + system + irq + softirq) / TICKS, cores };
}

/** Reads the times now. */
export function readCpu(): CpuTimes {
  const { user, system } = process.cpuUsage();
  return {
    at: performance.now() / 1000,
    machine: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    ...parseProcStat(readFileSync('/proc/stat', 'utf8')),
    own: (user + system) / 1e6,
  };
}

/** TCP segments sent again in a network namespace, from the text of /proc/net/snmp; undefined when it does not say. */
export function parseRetransmits(text: string): number | undefined {
  const [names, values] = text.split('\n').filter((line) => line.startsWith('Tcp:'));
  const at = names?.split(' ').indexOf('RetransSegs') ?? -1;
  const value = values?.split(' ')[at];
  return at === -1 || value === undefined ? undefined : Number(value);
}

/** TCP segments sent again since the network namespace of this process was made. */
export function readRetransmits(): number | undefined {
  try {
    return parseRetransmits(readFileSync('/proc/self/net/snmp', 'utf8'));
  } catch {
    return undefined;
  }
}
