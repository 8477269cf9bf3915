import type { KubeObject } from './client.ts';

interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation?: string;
}

/** The managers that keep an object as their manifests have it: those that apply it server-side, and Helm 3, which updates it. */
export function appliersOf({ metadata }: KubeObject): ReadonlySet<string> {
  const entries = (metadata.managedFields ?? []) as readonly ManagedFieldsEntry[];
  const appliers = entries.filter(({ operation, manager }) => operation === 'Apply' || manager === 'helm');
  return new Set(appliers.map(({ manager = '' }) => manager));
}
