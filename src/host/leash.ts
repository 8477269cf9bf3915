/**
 * Starts the program of the following words so that the kernel kills it together with the thread that started it, also
 * when that was killed; where there is no setpriv that can (util-linux 2.33), it starts the program as it is.
 */
const SCRIPT =
  'if setpriv --pdeathsig KILL true 2>/dev/null; then exec setpriv --pdeathsig KILL "$@"; else exec "$@"; fi';

/** The words of a command that shall not outlive this process, whatever ends it. For programs that run long. */
export function leashed(words: readonly string[]): readonly string[] {
  return ['sh', '-c', SCRIPT, 'leash', ...words];
}
