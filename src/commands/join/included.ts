import { UsageError } from '../../runtime/errors.ts';
import type { JoinOptions } from './options.ts';

/** What belongs to a joined cluster but not into Git. */
const PARTS = ['secrets', 'nodes'] as const;
/** One part of --include. */
export type Part = (typeof PARTS)[number];

/** The parts of --include; throws UsageError for unknown ones and without --dry-run. */
export function parseIncluded({ include = [], dryRun }: JoinOptions): ReadonlySet<Part> {
  if (include.length > 0 && !dryRun)
    throw new UsageError('--include: only --dry-run prints anything; join itself does it all');
  const unknown = include.filter((name) => name !== 'all' && !PARTS.some((part) => part === name));
  if (unknown.length > 0)
    throw new UsageError(`--include: ${unknown.join(', ')} is unknown; choose of ${PARTS.join(', ')} or all`);
  return new Set(include.includes('all') ? PARTS : PARTS.filter((part) => include.includes(part)));
}
