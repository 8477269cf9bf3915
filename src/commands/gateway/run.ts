import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { requireRights } from '../rights.ts';
import { startDeadline } from '../waiting.ts';
import { handOver, listGateways, nodeOf, obstacle } from './handover.ts';
import type { MoveOptions } from './options.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

/** Makes a standby gateway the active one and waits until it is. */
export async function moveGateway(run: CommandRun, { to }: MoveOptions): Promise<void> {
  const { reporter, context, flags } = run;
  const cluster = await (await run.access()).current();
  const { client } = cluster;
  await requireRights([
    {
      where: `cluster ${cluster.cluster}`,
      client,
      rights: [
        { verbs: ['list'], type: RESOURCES.gateways, namespace: OPERATOR_NAMESPACE },
        { verbs: ['patch'], type: RESOURCES.leases, namespace: OPERATOR_NAMESPACE },
      ],
    },
  ]);
  const gateways = await listGateways(cluster);
  const from = gateways.find(({ status }) => status.haStatus === 'active');
  const target = chooseTarget(gateways, { to, cluster: cluster.cluster, nowMs: context.clock.now() });
  const node = nodeOf(target);
  if (from !== undefined && nodeOf(from) === node) {
    reporter.done(`${node} is the active gateway already`);
    return printOutcome(run, { from: node, to: node, moved: false });
  }
  const deadline = startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  await reporter.step(`Moving the gateway of cluster ${cluster.cluster} to ${node}`, async (step) => {
    await handOver(cluster, node, deadline, (text) => step.progress(text));
  });
  reporter.done(`${node} is the active gateway of cluster ${cluster.cluster}`);
  await printOutcome(run, { from: from === undefined ? '' : nodeOf(from), to: node, moved: true });
}

/** The gateway to move to; throws when there is none that could carry the traffic. */
function chooseTarget(
  gateways: readonly Gateway[],
  { to, cluster, nowMs }: { readonly to: string | undefined; readonly cluster: string; readonly nowMs: number },
): Gateway {
  const hint = 'See `subctl show gateways`; `subctl join --gateways 2` makes more of them.';
  if (gateways.length === 0) throw new ExpectedError(`cluster ${cluster} has no gateway`, { hint });
  if (to === undefined) {
    const ready = gateways.find((one) => one.status.haStatus === 'passive' && obstacle(one, nowMs) === undefined);
    if (ready !== undefined) return ready;
    const reasons = gateways
      .filter(({ status }) => status.haStatus === 'passive')
      .map((one) => `${nodeOf(one)}: ${obstacle(one, nowMs) ?? 'ready'}`);
    const why = reasons.length === 0 ? 'there is only the active one' : reasons.join('; ');
    throw new ExpectedError(`cluster ${cluster} has no standby gateway that is ready: ${why}`, { hint });
  }
  const target = gateways.find((one) => nodeOf(one) === to || one.metadata.name === to);
  if (target === undefined) {
    const known = gateways.map(nodeOf).join(', ');
    throw new ExpectedError(`${to} is no gateway of cluster ${cluster}; its gateways are ${known}`, { hint });
  }
  const reason = target.status.haStatus === 'active' ? undefined : obstacle(target, nowMs);
  if (reason !== undefined) throw new ExpectedError(`${to} is not ready to be the active gateway: ${reason}`, { hint });
  return target;
}

async function printOutcome(run: CommandRun, outcome: Readonly<Record<string, unknown>>): Promise<void> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(outcome, output));
}
