import { parseListing } from '../net/nftlisting.ts';
import type { Ruleset } from '../net/state.ts';
import { CommandError, type CommandRunner } from './command.ts';

/** The table as the kernel has it, undefined when there is none; rejects when nft says anything else. */
export async function observeTable(
  runner: CommandRunner,
  table: string,
  signal?: AbortSignal,
): Promise<Ruleset | undefined> {
  const args = ['-s', '-y', 'list', 'table', 'inet', table];
  const result = await runner.run('nft', args, { okExitCodes: [0, 1], ...(signal === undefined ? {} : { signal }) });
  if (result.exitCode === 0) return parseListing(table, result.stdout);
  if (result.stderr.includes('No such file or directory')) return undefined;
  throw new CommandError('nft', args, result);
}

/** The table as nft lists it, counters included; '' when there is none. */
export async function listTable(runner: CommandRunner, table: string, signal?: AbortSignal): Promise<string> {
  const args = ['-y', 'list', 'table', 'inet', table];
  const result = await runner.run('nft', args, { okExitCodes: [0, 1], ...(signal === undefined ? {} : { signal }) });
  if (result.exitCode === 0) return result.stdout;
  if (result.stderr.includes('No such file or directory')) return '';
  throw new CommandError('nft', args, result);
}

/** Runs the script as one transaction: all of it, or nothing. */
export async function applyScript(runner: CommandRunner, script: string, signal?: AbortSignal): Promise<void> {
  await runner.run('nft', ['-f', '-'], { stdin: script, ...(signal === undefined ? {} : { signal }) });
}
