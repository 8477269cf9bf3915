import type { RunOptions } from '../../src/host/command.ts';

/** Whether a run of a program only looks. */
export function isLook(file: string, args: readonly string[], { stdin = '' }: RunOptions = {}): boolean {
  if (file === 'sysctl') return !args.includes('-w');
  if (args.includes('-batch')) return stdin.split('\n').every((line) => line === '' || line.includes(' show'));
  return args.includes('-j') || args.includes('list');
}
