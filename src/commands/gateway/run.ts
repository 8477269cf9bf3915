import { parseAvailability } from '../../api/availability.ts';
import { GATEWAY_LEASE, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import { OFFER_ANNOTATION } from '../../kube/leaserules.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { requireRights } from '../rights.ts';
import { silence } from '../show/freshness.ts';
import { startDeadline, waitFor, type Deadline } from '../waiting.ts';
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
    await offerLease(cluster, `${node}-submariner-gateway`);
    try {
      await awaitMove(cluster, node, deadline, (text) => step.progress(text));
    } catch (error) {
      await offerLease(cluster, null);
      throw error;
    }
  });
  reporter.done(`${node} is the active gateway of cluster ${cluster.cluster}`);
  await printOutcome(run, { from: from === undefined ? '' : nodeOf(from), to: node, moved: true });
}

async function listGateways({ client }: ClusterAccess): Promise<readonly (Gateway & KubeObject)[]> {
  const { items } = await client.list<Gateway & KubeObject>(RESOURCES.gateways, { namespace: OPERATOR_NAMESPACE });
  return items;
}

function nodeOf({ metadata, status }: Gateway): string {
  return status.localEndpoint.hostname || (metadata.name ?? '');
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

/** Why a standby cannot take over; undefined when it can. */
function obstacle(gateway: Gateway, nowMs: number): string | undefined {
  const quiet = silence(gateway, nowMs);
  if (quiet !== undefined) return quiet;
  const availability = parseAvailability(gateway);
  if (availability === undefined) return 'its engine does not know how to take over (it is not of this product)';
  if (!availability.ready) return availability.reason;
  return undefined;
}

async function offerLease({ client }: ClusterAccess, identity: string | null): Promise<void> {
  const change = { metadata: { annotations: { [OFFER_ANNOTATION]: identity } } };
  await client.patch(RESOURCES.leases, GATEWAY_LEASE, change, { patchType: 'merge', namespace: OPERATOR_NAMESPACE });
}

async function awaitMove(
  cluster: ClusterAccess,
  node: string,
  deadline: Deadline,
  note: (text: string) => void,
): Promise<void> {
  await waitFor({
    deadline,
    what: `${node} to be the active gateway`,
    hint: `See what it says: subctl show gateways --context ${cluster.name}. The order to move was taken back.`,
    intervalMs: 100,
    onPending: note,
    look: async () => {
      const gateways = await listGateways(cluster);
      const active = gateways.filter(({ status }) => status.haStatus === 'active').map(nodeOf);
      if (active.length === 1 && active[0] === node) return { done: undefined };
      return { pending: active.length === 0 ? 'no gateway says it is active' : `active: ${active.join(', ')}` };
    },
  });
}

async function printOutcome(run: CommandRun, outcome: Readonly<Record<string, unknown>>): Promise<void> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(outcome, output));
}
