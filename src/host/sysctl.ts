import { existsSync, readFileSync } from 'node:fs';
import type { SysctlState } from '../net/state.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import { CommandError, type CommandRunner } from './command.ts';

type Values = readonly (readonly [key: string, value: string])[];

/** From the files that sysctl reads, without starting it. */
function readHere(keys: readonly string[]): Values {
  return keys.flatMap((key) => {
    try {
      return [[key, readFileSync(sysctlFile(key, '/proc/sys'), 'utf8').replace(/\n$/, '')] as const];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new ExpectedError(`sysctl ${key} cannot be read: ${messageOf(error)}`);
    }
  });
}

/** What sysctl printed, also when some keys are not there (it leaves with their number); rejects on anything else. */
async function readSysctls(runner: CommandRunner, keys: readonly string[], signal?: AbortSignal): Promise<string> {
  try {
    return (await runner.run('sysctl', [...keys], signal === undefined ? {} : { signal })).stdout;
  } catch (error) {
    const stderr = error instanceof CommandError && error.exitCode !== undefined ? error.stderr.trim() : '';
    const onlyMissing = stderr !== '' && stderr.split('\n').every((line) => line.endsWith('No such file or directory'));
    if (onlyMissing && error instanceof CommandError) return error.stdout;
    throw error;
  }
}

function parseSysctls(stdout: string): Values {
  return stdout.split('\n').flatMap((line) => {
    const match = /^(\S+) =\s?(.*)$/.exec(line);
    return match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const];
  });
}

/** The values of these keys in their order; keys that are not there are left out. Asks only for those not in `known`. */
export async function observeSysctls(
  runner: CommandRunner,
  keys: readonly string[],
  signal?: AbortSignal,
  known: ReadonlyMap<string, string> = new Map(),
): Promise<readonly SysctlState[]> {
  const unknown = keys.filter((key) => !known.has(key));
  const ask = async (): Promise<Values> =>
    runner.here === true ? readHere(unknown) : parseSysctls(await readSysctls(runner, unknown, signal));
  const asked = unknown.length === 0 ? [] : await ask();
  const values = new Map([...known, ...asked]);
  return keys.flatMap((key) => {
    const value = values.get(key);
    return value === undefined ? [] : [{ key, value }];
  });
}

/**
 * Where a container that is not privileged has the node's /proc/sys/net to write to; its own is read-only. The kernel shows
 * every process there the settings of the network namespace it is in.
 */
const WRITABLE = '/run/host/proc/sys';

/** The file of a key as sysctl(8) writes it, in which a slash stands for a dot within a name. */
export function sysctlFile(key: string, root = WRITABLE): string {
  return `${root}/${key.replaceAll(/[./]/g, (one) => (one === '.' ? '/' : '.'))}`;
}

/** Sets one value. */
export async function setSysctl(runner: CommandRunner, sysctl: SysctlState, signal?: AbortSignal): Promise<void> {
  const { key, value } = sysctl;
  const cancel = signal === undefined ? {} : { signal };
  if (key.startsWith('net.') && existsSync(`${WRITABLE}/net`)) {
    await runner.run('tee', [sysctlFile(key)], { ...cancel, stdin: `${value}\n` });
  } else {
    await runner.run('sysctl', ['-q', '-w', `${key}=${value}`], cancel);
  }
}
