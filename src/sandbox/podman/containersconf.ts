/** What of a machine decides how podman and buildah have to be set up. */
export interface MachineFacts {
  /** /proc/self/status. */
  readonly processStatus: string;
  /** /proc/self/limits. */
  readonly limits: string;
  /** /proc/sys/kernel/pid_max. */
  readonly pidMax: string;
  /** /sys/fs/cgroup/unified/cgroup.controllers; undefined where there is none. */
  readonly hybridControllers: string | undefined;
}

const SYS_RESOURCE = 24n;
const MAX_FILES = 1_048_576;

function hasSysResource(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> SYS_RESOURCE) & 1n) === 1n;
}

/** The hard limit of /proc/self/limits, never more than `most`. */
function hardLimit(limits: string, name: string, most: number): number {
  const [, hard = ''] = new RegExp(`^${name}\\s+\\S+\\s+(\\S+)`, 'm').exec(limits) ?? [];
  return /^\d+$/.test(hard) ? Math.min(Number(hard), most) : most;
}

/**
 * containers.conf(5) for this machine alone, to be named by CONTAINERS_CONF, so that nothing is changed for others. Limits
 * are lowered where root may not raise them; runc takes the place of crun, which refuses cgroups of version 1 and 2 mixed.
 */
export function renderContainersConf(facts: MachineFacts): string {
  const { processStatus, limits, pidMax, hybridControllers } = facts;
  const files = hardLimit(limits, 'Max open files', MAX_FILES);
  const processes = hardLimit(limits, 'Max processes', Number(pidMax.trim()) || 32_768);
  const ulimits = `default_ulimits = ["nofile=${files}:${files}", "nproc=${processes}:${processes}"]`;
  return [
    '[containers]',
    ...(hasSysResource(processStatus) ? [] : [ulimits]),
    '[engine]',
    ...((hybridControllers ?? '').trim() === '' ? [] : ['runtime = "runc"']),
    '',
  ].join('\n');
}
