import type { DaemonName } from '../../../api/daemonstate.ts';
import { OPERATOR_NAMESPACE } from '../../../api/names.ts';
import type { Node, Pod } from '../../../kube/objects.ts';
import { RESOURCES } from '../../../kube/resources.ts';
import { ExpectedError } from '../../../runtime/errors.ts';
import { DAEMON_COMPONENTS, readDaemonState } from '../../daemonstate.ts';
import type { Collecting, Collector } from '../collector.ts';
import { statePath } from '../format.ts';
import { inParallel } from '../parallel.ts';

const AT_ONCE = 8;

interface DaemonOf {
  readonly node: string;
  readonly daemon: DaemonName;
}

/** A route agent is expected on every node, an engine where it has a pod. */
function daemonsOn(nodes: readonly string[], pods: readonly Pod[]): readonly DaemonOf[] {
  const engines = new Set(
    pods
      .filter(({ metadata }) => metadata.labels?.['app'] === DAEMON_COMPONENTS.engine)
      .map(({ spec }) => spec.nodeName),
  );
  return nodes.flatMap((node): readonly DaemonOf[] => {
    const agent = { node, daemon: 'routeagent' } as const;
    return engines.has(node) ? [{ node, daemon: 'engine' }, agent] : [agent];
  });
}

async function archiveState(collecting: Collecting, target: DaemonOf, pods: readonly Pod[]): Promise<void> {
  const { client, signal } = collecting;
  const { node, daemon } = target;
  if (signal.aborted) return;
  try {
    const state = await readDaemonState({ client }, target, { signal, pods });
    await collecting.writeJson(
      statePath(node, daemon),
      `what the ${daemon} of node ${node} knows, wants and sees`,
      state,
    );
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    collecting.fail(`${daemon} on node ${node}: ${error.message}`);
  }
}

/** What each daemon knows, wants and finds on its node. */
export const stateCollector: Collector = {
  name: 'state',
  type: 'state',
  collect: async (collecting) => {
    const { client, signal, wishes, submariner } = collecting;
    if (submariner === undefined) return;
    const [nodes, pods] = await Promise.all([
      client.list<Node>(RESOURCES.nodes, { signal }),
      client.list<Pod>(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE, signal }),
    ]);
    const names = nodes.items.map(({ metadata }) => metadata.name ?? '');
    const wanted = names.filter((name) => wishes.nodes?.includes(name) ?? true);
    const targets = daemonsOn(wanted, pods.items);
    await inParallel(targets, AT_ONCE, async (target) => archiveState(collecting, target, pods.items));
  },
};
