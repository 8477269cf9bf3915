import { runInForeground } from '../../host/foreground.ts';
import { execInNode, execInPod, type ExecCommand } from '../exec.ts';
import { planSandbox } from '../plan.ts';
import { requireState } from './state.ts';
import type { SandboxTools } from './tools.ts';

/** Where to run a program. */
export interface Place {
  /** Of the sandbox. */
  readonly name: string;
  readonly cluster: string;
  /** A node, pod/NAME (namespace default) or pod/NAMESPACE/NAME. */
  readonly target: string;
}

/** The command line (and environment, in a pod) that runs a program on a node or in a pod. */
export function insideCommand(
  tools: Pick<SandboxTools, 'files'>,
  place: Place,
  command: readonly string[],
): ExecCommand {
  const plan = planSandbox(requireState(tools.files, place.name).options);
  const { cluster, target } = place;
  if (!target.startsWith('pod/')) return execInNode(plan, { cluster, node: target }, command);
  const parts = target.split('/').slice(1);
  const [pod = '', namespace = 'default'] = parts.toReversed();
  return execInPod(plan, { cluster, namespace, pod }, (node) => tools.files.nodeDir(node), command);
}

/** Runs a program with the terminal of the caller; resolves with its exit code, 128 + n when a signal ended it. */
export async function runInside(tools: SandboxTools, place: Place, command: readonly string[]): Promise<number> {
  const { command: words, env } = insideCommand(tools, place, command);
  const [file = '', ...args] = words;
  return runInForeground(file, args, env ?? tools.env);
}
