import { destroyFabric } from '../fabric/fabric.ts';
import { identify, isAlive, processesWithArgument, signalProcess, type ProcessIdentity } from '../processes.ts';
import { removeContainers } from '../podman/remove.ts';
import { readState, removeFiles } from './state.ts';
import { waitFor, type SandboxTools } from './tools.ts';

function recorded(tools: SandboxTools): readonly ProcessIdentity[] {
  try {
    return Object.values(readState(tools.files)?.processes ?? {});
  } catch {
    return [];
  }
}

/** The sandbox's own processes, wherever they run: those in its state, those started with a configuration of it, and podman's. */
function ownProcesses(tools: SandboxTools): readonly ProcessIdentity[] {
  const ours = [`${tools.files.dir}/config/`, `${tools.files.podmanDir}/`];
  const configured = processesWithArgument((argument) => ours.some((folder) => argument.startsWith(folder)));
  const all = [...configured, ...recorded(tools)].filter(isAlive);
  return [...new Map(all.map((identity) => [identity.pid, identity])).values()];
}

async function endOwnProcesses(tools: SandboxTools): Promise<number> {
  const ended = new Set<number>();
  const unstoppable = { ...tools, signal: new AbortController().signal };
  await waitFor(unstoppable, { what: 'the end of all processes of the sandbox', timeoutMs: 10_000 }, async () => {
    const running = ownProcesses(tools).filter(({ pid }) => identify(pid) !== undefined && pid !== process.pid);
    for (const identity of running) {
      ended.add(identity.pid);
      signalProcess(identity, 'SIGKILL');
    }
    return running.length === 0 ? true : undefined;
  });
  return ended.size;
}

/** What `down` removed. */
export interface Removed {
  readonly processes: number;
  readonly namespaces: number;
}

/**
 * Removes every process, network namespace (with the links in it) and file of a sandbox, whatever state it is in, and
 * nothing else. Removing what is not there succeeds.
 */
export async function removeSandbox(tools: SandboxTools, name: string): Promise<Removed> {
  // Control planes and node agents first, so that nothing is started anew while the rest is removed.
  const own = await endOwnProcesses(tools);
  const { processes, namespaces } = await destroyFabric(tools, name, { graceMs: 0 });
  const containers = await endOwnProcesses(tools);
  await removeContainers(tools.runner, tools.files.podmanDir, name);
  removeFiles(tools.files);
  return { processes: own + processes + containers, namespaces };
}
