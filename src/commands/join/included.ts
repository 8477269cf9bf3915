import { UsageError } from '../../runtime/errors.ts';
import type { JoinOptions } from './options.ts';

/** What belongs to a joined cluster but not into Git. */
const PARTS = ['secrets', 'nodes'] as const;
/** One part of --include. */
export type Part = (typeof PARTS)[number];

/** The parts of --include; throws UsageError for unknown ones, and for flags that only a dry run knows. */
export function parseIncluded({ include = [], helmValues, dryRun }: JoinOptions): ReadonlySet<Part> {
  const flag = helmValues ? '--helm-values' : '--include';
  if ((include.length > 0 || helmValues) && !dryRun)
    throw new UsageError(`${flag}: only --dry-run prints anything; join itself does it all`);
  if (helmValues && include.includes('nodes'))
    throw new UsageError('--include nodes: a chart does not label nodes; with --helm-values choose secrets');
  const parts = include.flatMap(partsNamed);
  return new Set(helmValues ? parts.filter((part) => part !== 'nodes') : parts);
}

function partsNamed(name: string): readonly Part[] {
  if (name === 'all') return PARTS;
  const part = PARTS.find((one) => one === name);
  if (part === undefined) throw new UsageError(`--include: ${name} is unknown; choose of ${PARTS.join(', ')} or all`);
  return [part];
}
