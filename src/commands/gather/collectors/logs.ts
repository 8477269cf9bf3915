import { OPERATOR_NAMESPACE } from '../../../api/names.ts';
import type { ContainerStatus, Pod } from '../../../kube/objects.ts';
import { RESOURCES } from '../../../kube/resources.ts';
import { ExpectedError } from '../../../runtime/errors.ts';
import type { Collecting, Collector } from '../collector.ts';
import { logPath } from '../format.ts';
import { inParallel } from '../parallel.ts';

const AT_ONCE = 8;

interface LogOf {
  readonly pod: string;
  readonly node: string;
  readonly container: string;
  readonly previous: boolean;
}

/** The logs there are of a pod: one a container, and that of its former run when it was started again. */
function logsOf({ metadata, spec, status = {} }: Pod): readonly LogOf[] {
  const { name: pod = '' } = metadata;
  const statuses: readonly ContainerStatus[] = [
    ...(status.initContainerStatuses ?? []),
    ...(status.containerStatuses ?? []),
  ];
  return statuses.flatMap(({ name: container, restartCount }) => {
    const log = { pod, node: spec.nodeName ?? '', container, previous: false };
    return restartCount > 0 ? [log, { ...log, previous: true }] : [log];
  });
}

async function archiveLog(collecting: Collecting, log: LogOf): Promise<void> {
  const { client, wishes, signal } = collecting;
  const { pod, node, container, previous } = log;
  if (signal.aborted) return;
  const which = previous ? 'log of the former run' : 'log';
  try {
    const text = await client.logs(OPERATOR_NAMESPACE, pod, { container, previous, tailLines: wishes.logLines });
    await collecting.write(logPath(pod, container, previous), `${which} of ${container} on node ${node}`, text);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    collecting.fail(`${which} of ${container} in pod ${pod} on node ${node}: ${error.message}`);
  }
}

/** The last lines of the logs of our pods, of this run and the one before. */
export const logsCollector: Collector = {
  name: 'logs',
  type: 'logs',
  collect: async (collecting) => {
    const { client, wishes, signal } = collecting;
    const { items } = await client.list<Pod>(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE, signal });
    const { nodes } = wishes;
    const wanted = items.filter(({ spec }) => nodes?.includes(spec.nodeName ?? '') ?? true);
    await inParallel(wanted.flatMap(logsOf), AT_ONCE, async (log) => archiveLog(collecting, log));
  },
};
