import { parseAvailability } from '../../api/availability.ts';
import { FIELD_MANAGER, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import { applyObjects } from '../../kube/apply.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { DaemonSet, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { handOver, listGateways, nodeOf, obstacle } from '../gateway/handover.ts';
import { refuseWhenInterrupted } from '../testpods/run.ts';
import { startDeadline, waitFor } from '../waiting.ts';
import { isHopeless, podObstacle } from './health.ts';
import type { DaemonSetName, Replacement } from './plan.ts';
import { type DoneStep, timed, type UpgradeWork } from './work.ts';

/** A new pod that does not work within this time is no good. */
const HEALTHY_MS = 120_000;
/** What looks hopeless is given so long: an image may be there at the second attempt. */
const HOPELESS_MS = 10_000;
const STANDBY_MS = 30_000;
/** So many route agents at a time, once one has shown that it works. */
const AT_A_TIME = 10;
const namespace = OPERATOR_NAMESPACE;

/** Applies objects as ours, also where somebody has changed them. */
export async function applyForced(
  { target, run }: UpgradeWork,
  objects: readonly KubeObject[],
  note: (text: string) => void,
): Promise<void> {
  await applyObjects(target.client, objects, {
    fieldManager: FIELD_MANAGER,
    clock: run.context.clock,
    force: true,
    onApplied: ({ object }) => note(`Applied ${object.kind} ${object.metadata.name}`),
  });
}

/** A DaemonSet whose pods stay as they are until somebody deletes them. */
export function onDelete(daemonSet: KubeObject): KubeObject {
  const { spec, ...rest } = daemonSet as DaemonSet;
  return { ...rest, spec: { ...spec, updateStrategy: { type: 'OnDelete' } } } as KubeObject;
}

/** Applies the template of a DaemonSet without replacing any pod, then replaces pods one after another, each healthy before the next. */
export async function rollOut(
  work: UpgradeWork,
  daemonSet: KubeObject,
  { nodes, daemonSet: name }: Pick<Replacement, 'daemonSet' | 'nodes'>,
  done: DoneStep[],
): Promise<void> {
  await timed(work, done, `Applying DaemonSet ${name}`, async ({ update, progress }) => {
    await applyForced(work, [onDelete(daemonSet)], progress);
    await untilSeen(work, name, update);
  });
  for (const group of groupsOf(name, nodes)) {
    const what = `${name === 'submariner-gateway' ? 'Gateway' : 'Route agent'} on ${group.join(', ')}`;
    await timed(work, done, `${what}: new pod`, async ({ update }) => {
      await Promise.all(group.map(async (node) => replacePod(work, name, node, update)));
    });
  }
}

/** Gateways one at a time; of route agents the first one has to show that they work. */
function groupsOf(name: DaemonSetName, nodes: readonly string[]): readonly (readonly string[])[] {
  if (name === 'submariner-gateway') return nodes.map((node) => [node]);
  const [first, ...rest] = nodes;
  if (first === undefined) return [];
  const count = Math.ceil(rest.length / AT_A_TIME);
  const groups = Array.from({ length: count }, (_, index) => rest.slice(index * AT_A_TIME, (index + 1) * AT_A_TIME));
  return [[first], ...groups];
}

async function untilSeen({ target, deadline, signal }: UpgradeWork, name: string, note: Note): Promise<void> {
  await waitFor<true>({
    deadline,
    what: `the controller of DaemonSet ${name}`,
    hint: 'Does the kube-controller-manager of the cluster run?',
    onPending: note,
    intervalMs: 200,
    look: async () => {
      refuseWhenInterrupted(signal);
      const { metadata, status } = await target.client.get<DaemonSet>(RESOURCES.daemonSets, name, { namespace });
      const seen = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
      return seen ? { done: true } : { pending: `${name}: the DaemonSet controller has not seen it yet` };
    },
  });
}

type Note = (text: string) => void;

async function replacePod(work: UpgradeWork, name: DaemonSetName, node: string, note: Note): Promise<void> {
  const { client } = work.target;
  const gateway = name === 'submariner-gateway' ? await gatewayOf(work, node) : undefined;
  if (gateway?.status.haStatus === 'active') await moveAway(work, node, note);
  const formerSince = gateway === undefined ? undefined : parseAvailability(gateway)?.since;
  const former = await podsOn(work, name, node);
  const gone = new Set(former.map(({ metadata }) => metadata.uid));
  for (const { metadata } of former) {
    const uid = metadata.uid === undefined ? {} : { uid: metadata.uid };
    await client.delete(RESOURCES.pods, metadata.name ?? '', { namespace, ...uid });
  }
  await untilHealthy(work, `the new ${name} on ${node}`, note, async () => {
    const pod = (await podsOn(work, name, node)).find(({ metadata }) => !gone.has(metadata.uid));
    if (pod === undefined) return { reason: `${node}: the former pod is ending`, hopeless: false };
    const reason = await podObstacle(work, { pod, node, daemonSet: name, formerSince });
    return reason === undefined ? undefined : { reason, hopeless: isHopeless(pod) };
  });
}

async function podsOn({ target }: UpgradeWork, name: DaemonSetName, node: string): Promise<readonly Pod[]> {
  const { items } = await target.client.list<Pod>(RESOURCES.pods, { namespace, labelSelector: `app=${name}` });
  return items.filter(({ spec }) => spec.nodeName === node);
}

async function gatewayOf({ target }: UpgradeWork, node: string): Promise<Gateway | undefined> {
  return (await listGateways(target)).find((one) => nodeOf(one) === node);
}

/** Hands the traffic of a gateway over to another one that is ready; with a single gateway there is nothing to be done. */
async function moveAway(work: UpgradeWork, node: string, note: Note): Promise<void> {
  const { target, run, signal } = work;
  const { clock } = run.context;
  const deadline = startDeadline(clock, Math.min(STANDBY_MS, work.deadline.remainingMs()));
  const to = await waitFor<string | undefined>({
    deadline,
    what: `another gateway to be ready to take over from ${node}`,
    hint: 'subctl show gateways tells why none is.',
    onPending: note,
    look: async () => {
      refuseWhenInterrupted(signal);
      const others = (await listGateways(target)).filter((one) => nodeOf(one) !== node);
      const ready = others.find((one) => obstacle(one, clock.now()) === undefined);
      if (others.length === 0 || ready !== undefined) return { done: ready === undefined ? undefined : nodeOf(ready) };
      return { pending: others.map((one) => `${nodeOf(one)}: ${obstacle(one, clock.now())}`).join('; ') };
    },
  });
  if (to === undefined) return;
  note(`${to} takes over from ${node}`);
  await handOver(target, to, deadline, note);
}

interface Sick {
  readonly reason: string;
  readonly hopeless: boolean;
}

/** Waits until a new pod works; gives up sooner when it looks hopeless. */
async function untilHealthy(
  { deadline: whole, run, signal }: UpgradeWork,
  what: string,
  note: Note,
  look: () => Promise<Sick | undefined>,
): Promise<void> {
  const { clock } = run.context;
  let hopelessMs: number | undefined;
  await waitFor<true>({
    deadline: startDeadline(clock, Math.min(HEALTHY_MS, whole.remainingMs())),
    what,
    hint: `kubectl -n ${namespace} get events tells more.`,
    onPending: note,
    look: async () => {
      refuseWhenInterrupted(signal);
      const sick = await look();
      if (sick === undefined) return { done: true };
      hopelessMs = sick.hopeless ? (hopelessMs ?? clock.monotonic()) : undefined;
      if (hopelessMs !== undefined && clock.monotonic() - hopelessMs >= HOPELESS_MS) {
        throw new ExpectedError(`${what} does not work: ${sick.reason}`);
      }
      return { pending: sick.reason };
    },
  });
}
