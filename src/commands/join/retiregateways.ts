import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { handOver, listGateways, nodeOf, obstacle } from '../gateway/handover.ts';
import { type CleanedNode, cleanNodes } from '../nodecleaning.ts';
import type { Written } from '../objects.ts';
import { unlabelGateways } from '../uninstall/cluster.ts';
import type { Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { type Deadline, startDeadline, waitFor } from '../waiting.ts';
import { chooseImages } from './images.ts';
import type { JoinPlan } from './preflight.ts';

/** A former gateway that does not report its end is waited for so long; then it is cleaned nevertheless. */
const LEAVING_MS = 30_000;
const CLEANING_MS = 60_000;

/**
 * Takes the role from gateways that are to have it no more, make before break: another one is ready and has the traffic
 * before the label goes. Then the nodes are cleaned, also of what an engine left that was killed.
 */
export async function retireGateways(run: CommandRun, plan: JoinPlan, deadline: Deadline): Promise<readonly Written[]> {
  const { unlabel, target } = plan;
  if (unlabel.length === 0) return [];
  const names = unlabel.join(', ');
  if (plan.gatewayNodes.length > 0) {
    await run.reporter.step('Waiting for a gateway that stays to have the traffic', async (step) => {
      const node = await untilOneCanTakeOver(run, plan, deadline, step.update);
      if (node !== undefined) await handOver(target, node, deadline, step.update);
      step.done(node === undefined ? 'A gateway that stays has the traffic' : `${node} has taken over the traffic`);
    });
  }
  const records = await run.reporter.step(`No gateways any more: ${names}`, async (step) => {
    const changed = await unlabelGateways(target.client, unlabel);
    await untilGone(run, target, unlabel, step.update);
    return changed;
  });
  await clean(run, plan);
  return records;
}

/** The node to hand the traffic over to; undefined when a gateway that stays has it already. */
async function untilOneCanTakeOver(
  { context }: CommandRun,
  { target, gatewayNodes }: JoinPlan,
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<string | undefined> {
  return waitFor<string | undefined>({
    deadline,
    what: `one of ${gatewayNodes.join(', ')} to be ready to take over`,
    hint: 'The former gateways still have the traffic and their label: nothing is lost. subctl show gateways tells more; running join again goes on.',
    onPending,
    look: async () => {
      const staying = (await listGateways(target)).filter((gateway) => gatewayNodes.includes(nodeOf(gateway)));
      if (staying.some(({ status }) => status.haStatus === 'active')) return { done: undefined };
      const ready = staying.find((gateway) => obstacle(gateway, context.clock.now()) === undefined);
      if (ready !== undefined) return { done: nodeOf(ready) };
      const why = staying.map((gateway) => `${nodeOf(gateway)}: ${obstacle(gateway, context.clock.now())}`);
      return { pending: why.length === 0 ? 'no gateway that stays reports yet' : why.join('; ') };
    },
  });
}

async function untilGone(
  { context }: CommandRun,
  target: ClusterAccess,
  nodes: readonly string[],
  onPending: (text: string) => void,
): Promise<void> {
  const deadline = startDeadline(context.clock, LEAVING_MS);
  while (deadline.remainingMs() > 0) {
    const left = (await listGateways(target)).map(nodeOf).filter((node) => nodes.includes(node));
    if (left.length === 0) return;
    onPending(`Waiting for the gateway on ${left.join(', ')} to end`);
    await context.clock.sleep(200);
  }
}

async function clean({ reporter, context }: CommandRun, plan: JoinPlan): Promise<void> {
  const { target, settings, unlabel } = plan;
  const { items } = await target.client.list<Node>(RESOURCES.nodes);
  const nodes = items.filter(({ metadata }) => unlabel.includes(metadata.name ?? ''));
  await reporter.step(`Cleaning ${unlabel.join(', ')}`, async (step) => {
    const tools = {
      client: target.client,
      templatesDir: context.templatesDir,
      images: chooseImages(settings.options, settings.version),
      deadline: startDeadline(context.clock, CLEANING_MS),
      onPending: step.update,
    };
    const dirty = (await cleanNodes(tools, nodes, ['gateway'])).filter(({ outcome }) => outcome !== 'cleaned');
    if (dirty.length > 0) step.warn(notClean(dirty));
  });
}

/** What is left there does no harm: routes of a gateway lead nowhere, but only on that node. */
function notClean(dirty: readonly CleanedNode[]): string {
  const why = dirty.map(({ node, reason }) => `${node} (${reason})`).join(', ');
  return `Tunnels and routes of the former gateway are still on ${why}: on the node, engine --cleanup of the gateway image removes them`;
}
