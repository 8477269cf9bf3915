import { FIELD_MANAGER } from '../api/names.ts';
import { applyObjects } from '../kube/apply.ts';
import type { KubeClient, KubeObject } from '../kube/client.ts';
import { type Written, written } from './objects.ts';
import type { CommandContext } from './context.ts';
import type { Step } from './reporter.ts';

/** Where objects are applied. */
export interface ApplyTarget {
  readonly client: KubeClient;
  readonly on: Written['on'];
}

/** Applies manifests as field manager subctl in the order they need one another; says what became of each. */
export async function applyManifests(
  { client, on }: ApplyTarget,
  objects: readonly KubeObject[],
  { clock }: CommandContext,
  step: Step,
): Promise<readonly Written[]> {
  const results = await applyObjects(client, objects, {
    fieldManager: FIELD_MANAGER,
    clock,
    onApplied: ({ object }) => step.progress(`Applying ${object.kind} ${object.metadata.name}`),
  });
  return results.map(({ object, outcome }) => written(object, on, outcome));
}
