import type { SandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import type { Pod } from '../../src/kube/objects.ts';
import type { TrafficReport } from '../../src/sandbox/traffic/report.ts';
import { Flow, type PodEnd } from '../faults/flow.ts';
import type { TestSandbox } from './subctl.ts';

/** From and to either gateway node. */
const ENDS = [
  ['east-1', 'west-1'],
  ['east-2', 'west-2'],
  ['west-1', 'east-2'],
] as const;

function echo(sandbox: TestSandbox, node: string): PodEnd {
  const cluster = node.split('-')[0] ?? '';
  const list = sandbox.kubectl('--context', cluster, 'get', 'pods', '-A', '-l', 'app=echo', '-o', 'json');
  const { items } = JSON.parse(list) as { readonly items: readonly Pod[] };
  const found = items.find(({ spec }) => spec.nodeName === node);
  return { cluster, node, name: found?.metadata.name ?? '', address: found?.status?.podIP ?? '' };
}

/** Does something while traffic flows between the gateway nodes of two clusters, and tells what the traffic saw. */
export async function withTraffic<T extends object>(
  sandbox: TestSandbox,
  files: SandboxFiles,
  work: () => Promise<T>,
): Promise<T & { readonly reports: readonly TrafficReport[] }> {
  const flows = ENDS.map(([from, to]) => new Flow(sandbox.name, files, echo(sandbox, from), echo(sandbox, to)));
  try {
    await Promise.all(flows.map(async ({ ready }) => ready));
    const done = await work();
    return { ...done, reports: await Promise.all(flows.map(async (flow) => flow.stop())) };
  } finally {
    for (const flow of flows) flow.kill();
  }
}
