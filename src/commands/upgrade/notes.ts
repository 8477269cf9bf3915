import type { JoinSettings } from '../join/configuration.ts';
import { chooseImages } from '../join/images.ts';
import type { Observed, UpgradePlan } from './plan.ts';

/** What the operator ought to know before agreeing, a sentence each. */
export function notesOn(
  observed: Observed & { readonly brokers: readonly { readonly namespace: string }[] },
  { replacements }: UpgradePlan,
  settings: JoinSettings,
): readonly string[] {
  const { saved, brokers, gateways, submariner } = observed;
  const notes: string[] = [];
  if (saved !== undefined)
    notes.push(`an upgrade to ${saved.to} was interrupted (${saved.startedAt}): this goes on with it`);
  const overridden = Object.keys(chooseImages(settings.options, settings.version).overrides);
  if (overridden.length > 0) notes.push(`images stay as --image-override has them: ${overridden.join(', ')}`);
  const moves = replacements.some(({ daemonSet, nodes }) => daemonSet === 'submariner-gateway' && nodes.length > 0);
  if (moves && gateways.length < 2) {
    notes.push(
      'there is no standby gateway: connections may be interrupted while the only one is replaced; subctl join --gateways 2 makes another',
    );
  }
  const lost = [...new Set(replacements.flatMap((one) => one.lost))];
  if (lost.length > 0) notes.push(`not ready, so their pods follow when they are back: ${lost.join(', ')}`);
  notes.push(
    brokers.length > 0
      ? `the broker in this cluster (namespace ${brokers.map(({ namespace }) => namespace).join(', ')}) is included: CRDs and roles`
      : `the broker ${submariner.spec.brokerK8sApiServer} is not included: upgrade the cluster it is in (subctl upgrade, or subctl deploy-broker when that has not joined)`,
  );
  return notes;
}
