import { parsePendingChange, type PendingChange } from '../../api/driverchange.ts';
import { parseGateways, supersedes } from '../../api/gateways.ts';
import type { Endpoint } from '../../api/types.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { listGateways } from '../gateway/handover.ts';
import { type Deadline, type Progress, waitFor } from '../waiting.ts';
import type { BrokerView } from './brokerview.ts';

/** A cluster that joins with another cable driver than it has now. */
export interface PlannedChange {
  readonly from: string;
  readonly to: string;
  /** IDs of the clusters that have to be joined with it too before anything changes. */
  readonly awaited: readonly string[];
  /** Those of them that cannot announce it, because another program runs them. */
  readonly foreign: readonly string[];
}

/** What the broker says of a change of the driver; undefined when the cluster is new, or has this driver. Pure. */
export function plannedChange(
  { endpoints }: Pick<BrokerView, 'endpoints'>,
  clusterId: string,
  to: string,
): PlannedChange | undefined {
  const newest = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const known = newest.get(endpoint.spec.cluster_id);
    if (known === undefined || supersedes(endpoint, known)) newest.set(endpoint.spec.cluster_id, endpoint);
  }
  const from = newest.get(clusterId)?.spec.backend;
  if (from === undefined || from === to) return undefined;
  const others = [...newest.values()].filter(
    (endpoint) =>
      endpoint.spec.cluster_id !== clusterId &&
      endpoint.spec.backend === from &&
      parseGateways(endpoint)?.change?.backend !== to,
  );
  const ids = (some: readonly Endpoint[]): readonly string[] => some.map(({ spec }) => spec.cluster_id).toSorted();
  return {
    from,
    to,
    awaited: ids(others),
    foreign: ids(others.filter((endpoint) => parseGateways(endpoint) === undefined)),
  };
}

/** Says when the driver will change. */
export function tellPlannedChange({ reporter }: CommandRun, { from, to, awaited, foreign }: PlannedChange): void {
  if (awaited.length === 0) {
    reporter.info(`the cable driver changes from ${from} to ${to} at the end of this join, in all clusters at once`);
    return;
  }
  reporter.info(
    `the cable driver stays ${from} until ${awaited.join(', ')} joined with --cable-driver ${to} too; then all change at once`,
  );
  if (foreign.length > 0)
    reporter.warn(
      `${foreign.join(', ')}: run by another program, which does not announce a change: change it there first, the others follow`,
    );
}

/**
 * Waits until the gateways have changed to the driver they were joined with, or only other clusters are waited for, and
 * tells how to go on then. Resolves to the IDs of these clusters.
 */
export async function awaitChange(
  run: CommandRun,
  target: ClusterAccess,
  deadline: Deadline,
): Promise<readonly string[]> {
  if ((await pendingOf(target)) === undefined) return [];
  const pending = await run.reporter.step('Waiting for the change of the cable driver', async (step) => {
    const left = await waitFor<PendingChange | undefined>({
      deadline,
      what: 'the change of the cable driver',
      hint: 'subctl show gateways tells what it waits for; everything goes on with the former driver.',
      onPending: step.update,
      look: async () => progressOf(await pendingOf(target)),
    });
    step.done(left === undefined ? 'The cable driver has changed' : `The cable driver ${left.to} is announced`);
    return left;
  });
  if (pending === undefined) return [];
  const { from, to, clusters } = pending;
  run.reporter.warn(`${from} stays in use until ${clusters.join(', ')} joined with ${to} too:`);
  for (const id of clusters)
    run.reporter.info(`   subctl join broker-info.subm --cable-driver ${to} --context CONTEXT    (of cluster ${id})`);
  return clusters;
}

function progressOf(pending: PendingChange | undefined): Progress<PendingChange | undefined> {
  if (pending === undefined || (pending.announced && pending.clusters.length > 0)) return { done: pending };
  if (pending.gateways.length > 0)
    return { pending: `gateway ${pending.gateways.join(', ')} has not been replaced yet` };
  return { pending: pending.clusters.length > 0 ? 'not announced yet' : 'all clusters are about to change' };
}

async function pendingOf(target: ClusterAccess): Promise<PendingChange | undefined> {
  const active = (await listGateways(target)).find(({ status }) => status.haStatus === 'active');
  return active === undefined ? undefined : parsePendingChange(active.metadata);
}
