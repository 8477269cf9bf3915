import type { SysctlState } from '../net/state.ts';
import type { CommandRunner } from './command.ts';

/** The values of these keys in their order; keys that are not there are left out. */
export async function observeSysctls(
  runner: CommandRunner,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<readonly SysctlState[]> {
  if (keys.length === 0) return [];
  const options = { okExitCodes: [0, 1, 255], ...(signal === undefined ? {} : { signal }) };
  const { stdout } = await runner.run('sysctl', [...keys], options);
  const values = new Map(
    stdout.split('\n').flatMap((line) => {
      const match = /^(\S+) =\s?(.*)$/.exec(line);
      return match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as const];
    }),
  );
  return keys.flatMap((key) => {
    const value = values.get(key);
    return value === undefined ? [] : [{ key, value }];
  });
}

/** Sets one value. */
export async function setSysctl(runner: CommandRunner, sysctl: SysctlState, signal?: AbortSignal): Promise<void> {
  const args = ['-q', '-w', `${sysctl.key}=${sysctl.value}`];
  await runner.run('sysctl', args, signal === undefined ? {} : { signal });
}
