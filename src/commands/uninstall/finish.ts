import { CLUSTER_ID_LABEL } from '../../api/names.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { memberAccount } from '../join/brokerview.ts';
import type { CleanedNode } from '../nodecleaning.ts';
import type { LeftSet } from './membership.ts';

/** What was not removed, with the commands that finish it; undefined when all is gone. */
export function incompleteError(
  context: string,
  left: LeftSet,
  nodes: readonly CleanedNode[],
): ExpectedError | undefined {
  const dirty = nodes.filter(({ outcome }) => outcome !== 'cleaned').map(({ node }) => node);
  const brokerKnows = left.outcome === 'unreachable' || left.outcome === 'kept';
  if (dirty.length === 0 && !brokerKnows) return undefined;
  const problems = [
    ...(dirty.length === 0 ? [] : [`not clean: ${dirty.join(', ')}`]),
    ...(brokerKnows ? [`the broker ${left.server} still knows the cluster: ${left.reason}`] : []),
  ];
  const steps = [
    ...(dirty.length === 0
      ? []
      : [
          `when ${dirty.join(' and ')} can run pods again: subctl uninstall --context ${context} --nodes ${dirty.join(',')}`,
        ]),
    ...(brokerKnows ? [brokerStep(context, left)] : []),
  ];
  return new ExpectedError(`not everything could be removed: ${problems.join('; ')}`, {
    hint: `To finish, ${steps.join('; ')}`,
  });
}

function brokerStep(context: string, { namespace, clusterIds }: LeftSet): string {
  const lines = clusterIds.flatMap((id) => [
    `kubectl -n ${namespace} delete serviceaccount/${memberAccount(id)} clusters.submariner.io/${id}`,
    `kubectl -n ${namespace} delete endpoints.submariner.io -l ${CLUSTER_ID_LABEL}=${id}`,
  ]);
  const byHand = `${lines.join(' && ')} on the broker`;
  return `for the broker: subctl uninstall --context ${context} --broker-info broker-info.subm (or ${byHand})`;
}
