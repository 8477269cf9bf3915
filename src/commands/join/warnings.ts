import type { SubmarinerSpec } from '../../api/types.ts';
import type { CommandRun } from '../context.ts';
import type { BrokerView } from './brokerview.ts';
import { cableDriverName, type JoinSettings, submarinerObject } from './configuration.ts';
import type { LocalCluster } from './localcluster.ts';

/** Warns of what the operator may not have meant: another cable driver than other clusters have, other settings than last time. */
export function warnAboutChanges(
  { reporter }: CommandRun,
  view: BrokerView,
  { submariner }: LocalCluster,
  settings: JoinSettings,
): void {
  const driver = cableDriverName(settings.options.cableDriver);
  const different = otherDrivers(view, settings.clusterId, driver);
  if (different.length > 0) {
    reporter.warn(
      `no tunnels between cable driver ${driver} of this cluster and ${different.join(', ')}: join all with the same --cable-driver`,
    );
  }
  if (submariner === undefined) return;
  const changes = describeChanges(submariner.spec, submarinerObject(settings).spec);
  if (changes.length > 0) reporter.warn(`other settings than at the last join: ${changes.join('; ')}`);
}

/** `<driver> of <cluster>` for every other cluster with another driver. */
export function otherDrivers(view: BrokerView, clusterId: string, driver: string): readonly string[] {
  const found = view.endpoints.filter(({ spec }) => spec.cluster_id !== clusterId && spec.backend !== driver);
  return [...new Set(found.map(({ spec }) => `${spec.backend} of ${spec.cluster_id}`))].toSorted();
}

/** `field: before -> after` for every setting that a second join changes. */
export function describeChanges(before: SubmarinerSpec, after: SubmarinerSpec): readonly string[] {
  const [from, to] = [before, after].map((spec) => new Map<string, unknown>(Object.entries(spec)));
  if (from === undefined || to === undefined) return [];
  const names = [...new Set([...from.keys(), ...to.keys()])].toSorted();
  return names
    .map((name) => ({ name, old: textOf(from.get(name)), fresh: textOf(to.get(name)) }))
    .filter(({ name, old, fresh }) => old !== fresh && name !== 'brokerK8sCA')
    .map(({ name, old, fresh }) => `${name}: ${old} -> ${fresh}`);
}

function textOf(value: unknown): string {
  if (value === undefined || value === '') return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
