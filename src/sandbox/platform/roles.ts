import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { LabelSelector } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { sameJson } from '../controllers/json.ts';
import { matchesSelector } from '../../kube/selectors.ts';

/** A ClusterRole, perhaps one whose rules are those of the roles it selects. */
export interface ClusterRole extends KubeObject {
  readonly rules?: readonly object[] | null;
  readonly aggregationRule?: { readonly clusterRoleSelectors?: readonly LabelSelector[] };
}

/** The rules an aggregated ClusterRole must have; undefined for all others. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): readonly object[] | undefined {
  const selectors = role.aggregationRule?.clusterRoleSelectors;
  if (selectors === undefined) return undefined;
  return all
    .filter(({ metadata }) => metadata.name !== role.metadata.name)
    .filter(({ metadata }) => selectors.some((selector) => matchesSelector(selector, metadata.labels)))
    .toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
    .flatMap(({ rules }) => rules ?? []);
}

/** Gives aggregated ClusterRoles the rules of the roles they select. */
export async function aggregateRoles(client: KubeClient, all: readonly ClusterRole[]): Promise<void> {
  const wrong = all.filter((role) => {
    const rules = aggregatedRules(role, all);
    return rules !== undefined && !sameJson(rules, role.rules ?? []);
  });
  await attemptAll(
    wrong.map((role) => () => {
      const patch = { rules: aggregatedRules(role, all) };
      return client.patch(RESOURCES.clusterRoles, role.metadata.name ?? '', patch, { patchType: 'merge' });
    }),
  );
}
