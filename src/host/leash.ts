import { findProgram } from './daemon.ts';

/**
 * The words of a command that shall not outlive this process, whatever ends it: the kernel kills it together with the
 * thread that started it. Where there is no setpriv (util-linux 2.33 or newer) the command is started as it is. For
 * programs that run long.
 */
export function leashed(
  words: readonly string[],
  find: (program: string) => string | undefined = findProgram,
): readonly string[] {
  const setpriv = find('setpriv');
  return setpriv === undefined ? words : [setpriv, '--pdeathsig', 'KILL', ...words];
}
