import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import type { CommandRunner } from '../../host/command.ts';
import { podmanHome } from './home.ts';

const CGROUPS = '/sys/fs/cgroup';
const RUNTIMES = ['runc', 'crun'];

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Mount points below a folder, the deepest first. */
export function mountsBelow(mountinfo: string, folder: string): readonly string[] {
  return mountinfo
    .split('\n')
    .map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
    .filter((point) => point.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length);
}

/** The cgroups of a sandbox's containers hang below one of this name. */
export function cgroupName(sandbox: string): string {
  return `subctl-sandbox-${sandbox}`;
}

function removeCgroup(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(path.join(folder, entry.name));
  }
  rmdirSync(folder);
}

/** In cgroups of version 1 every controller has a tree of its own. */
function removeCgroups(sandbox: string): void {
  const roots = [CGROUPS, ...namesIn(CGROUPS).map((name) => path.join(CGROUPS, name))];
  for (const folder of roots.map((root) => path.join(root, cgroupName(sandbox)))) {
    try {
      removeCgroup(folder);
    } catch {
      // Not there, or still in use: the kernel lets go of it with the last process.
    }
  }
}

/**
 * Removes what podman has left of a sandbox whose processes have all ended: what the runtime remembers, mounts, cgroups.
 * The files go with the sandbox's. Does not ask podman, whose database may be half written.
 */
export async function removeContainers(runner: CommandRunner, folder: string, sandbox: string): Promise<void> {
  if (!existsSync(folder)) return;
  const { storage } = podmanHome(folder);
  const known = RUNTIMES.filter((runtime) => existsSync(`/run/${runtime}`));
  for (const id of namesIn(path.join(storage, 'overlay-containers'))) {
    for (const runtime of known.filter((name) => existsSync(`/run/${name}/${id}`))) {
      await runner.run(runtime, ['delete', '--force', id], { okExitCodes: [0, 1] });
    }
  }
  for (const point of mountsBelow(readFileSync('/proc/self/mountinfo', 'utf8'), folder)) {
    await runner.run('umount', ['--lazy', point], { okExitCodes: [0, 32] });
  }
  removeCgroups(sandbox);
}
