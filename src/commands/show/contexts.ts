import { UsageError } from '../../runtime/errors.ts';
import type { ContextInfo } from '../access.ts';

/** Contexts to look at, one per cluster, with remarks about contexts that were passed over. */
export interface ContextSelection {
  readonly contexts: readonly ContextInfo[];
  readonly remarks: readonly string[];
}

/**
 * Chooses contexts: the one of --context, those of --contexts, else all of the kubeconfig with one per cluster. Of several
 * contexts of one cluster the one whose user appears in most contexts wins, as upstream does. Throws UsageError for unknown names.
 */
export function selectContexts(
  all: readonly ContextInfo[],
  flags: { readonly context?: string | undefined; readonly contexts?: readonly string[] | undefined },
): ContextSelection {
  const names = flags.contexts ?? (flags.context === undefined ? undefined : [flags.context]);
  if (names === undefined) return onePerCluster(all);
  const unknown = names.filter((name) => !all.some((context) => context.name === name));
  if (unknown.length > 0) {
    const known = all.map(({ name }) => name).join(', ') || 'none';
    throw new UsageError(`the kubeconfig has no context ${unknown.join(', ')}; it has ${known}`);
  }
  const chosen = [...new Set(names)].flatMap((name) => all.find((context) => context.name === name) ?? []);
  return { contexts: chosen, remarks: [] };
}

function onePerCluster(all: readonly ContextInfo[]): ContextSelection {
  const uses = new Map<string, number>();
  for (const { user } of all) uses.set(user, (uses.get(user) ?? 0) + 1);
  const byCluster = new Map<string, ContextInfo[]>();
  for (const context of all) byCluster.set(context.cluster, [...(byCluster.get(context.cluster) ?? []), context]);
  const remarks: string[] = [];
  const contexts = [...byCluster].flatMap(([cluster, candidates]) => {
    const [best, ...others] = candidates.toSorted((a, b) => (uses.get(b.user) ?? 0) - (uses.get(a.user) ?? 0));
    if (best !== undefined && others.length > 0) {
      remarks.push(`cluster ${cluster} has ${candidates.length} contexts; using ${best.name} (choose with --contexts)`);
    }
    return best ?? [];
  });
  return { contexts, remarks };
}
