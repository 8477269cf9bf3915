import { parseListing } from '../net/nftlisting.ts';
import type { Ruleset } from '../net/state.ts';
import { CommandError, type CommandRunner } from './command.ts';

/** nft passes on each word it prints by itself: 6000 writes for a set of 2000 CIDRs. */
const WORDY = { wordy: true, okExitCodes: [0, 1] } as const;

/** What nft prints about a table, '' when there is none; rejects when it says anything else or is cut off. */
async function list(
  runner: CommandRunner,
  [flags, table]: readonly [flags: readonly string[], table: string],
  signal?: AbortSignal,
): Promise<string> {
  const args = [...flags, 'list', 'table', 'inet', table];
  const result = await runner.run('nft', args, signal === undefined ? WORDY : { ...WORDY, signal });
  const { exitCode, stdout, stderr } = result;
  if (exitCode === 0 && stdout.endsWith('\n}\n')) return stdout;
  if (exitCode === 0)
    throw new CommandError('nft', args, {
      stdout: '',
      stderr: 'it printed only a part of the table (is there memory left, also in /dev/shm?)',
    });
  if (stderr.includes('No such file or directory')) return '';
  throw new CommandError('nft', args, result);
}

/** The table as the kernel has it, undefined when there is none. */
export async function observeTable(
  runner: CommandRunner,
  table: string,
  signal?: AbortSignal,
): Promise<Ruleset | undefined> {
  const listing = await list(runner, [['-s', '-y'], table], signal);
  return listing === '' ? undefined : parseListing(table, listing);
}

/** The table as nft lists it, counters included; '' when there is none. */
export async function listTable(runner: CommandRunner, table: string, signal?: AbortSignal): Promise<string> {
  return list(runner, [['-y'], table], signal);
}

/** Runs the script as one transaction: all of it, or nothing. */
export async function applyScript(runner: CommandRunner, script: string, signal?: AbortSignal): Promise<void> {
  await runner.run('nft', ['-f', '-'], { stdin: script, ...(signal === undefined ? {} : { signal }) });
}
