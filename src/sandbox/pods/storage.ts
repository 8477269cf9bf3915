import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Container, Pod, Volume } from '../../kube/objects.ts';
import type { PodFacts, PodObjects } from './environment.ts';
import { ContainerProblem } from './image.ts';
import type { Mount } from './mounts.ts';
import { podDir } from './record.ts';
import { mountsOf, volumeFiles, volumesOf, writeVolume, type TokenSource } from './volumes.ts';

/** Paths of a node that are those of this machine: devices, the kernel, its modules. */
const OF_MACHINE = ['/dev', '/proc', '/sys', '/lib/modules', '/usr'];

function isOfMachine(target: string): boolean {
  return OF_MACHINE.some((root) => target === root || target.startsWith(`${root}/`));
}

function volumeDir(nodeDir: string, pod: Pod, volume: Volume): string {
  return path.join(podDir(nodeDir, pod.metadata.uid ?? ''), 'volumes', volume.name);
}

/** Writes what comes from the API server and makes the directories of the other volumes. Rejects with ContainerProblem. */
export async function refreshVolumes(
  nodeDir: string,
  facts: PodFacts,
  objects: PodObjects,
  token: TokenSource,
): Promise<void> {
  for (const volume of volumesOf(facts.pod)) {
    const directory = volumeDir(nodeDir, facts.pod, volume);
    const files = await volumeFiles(volume, facts, objects, token);
    if (files !== undefined) writeVolume(directory, files);
    else if (volume.emptyDir !== undefined) mkdirSync(directory, { recursive: true });
    else if (volume.hostPath !== undefined) prepareHostPath(nodeDir, volume.hostPath);
    else throw new ContainerProblem('ContainerCreating', `volume ${volume.name} is of a kind a sandbox does not have`);
  }
}

function prepareHostPath(nodeDir: string, hostPath: NonNullable<Volume['hostPath']>): void {
  const source = path.normalize(hostPath.path);
  if (isOfMachine(source)) return;
  const file = path.join(nodeDir, source);
  if (hostPath.type === 'File' || hostPath.type === 'FileOrCreate') {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '', { flag: 'a' });
  } else {
    mkdirSync(file, { recursive: true });
  }
}

function sourceOf(nodeDir: string, pod: Pod, volume: Volume): string {
  if (volume.hostPath === undefined) return volumeDir(nodeDir, pod, volume);
  const source = path.normalize(volume.hostPath.path);
  return isOfMachine(source) ? source : path.join(nodeDir, source);
}

function kindOf(source: string): Mount['kind'] {
  const found = statSync(source, { throwIfNoEntry: false });
  if (found === undefined) throw new ContainerProblem('CreateContainerConfigError', `there is no ${source} to mount`);
  return found.isDirectory() ? 'directory' : 'file';
}

/**
 * What is mounted into a container. With `sharesFiles` it sees the files of this machine anyway, so that those which are to
 * be at their own place are there already.
 */
export function containerMounts(nodeDir: string, pod: Pod, container: Container, sharesFiles = true): readonly Mount[] {
  const volumes = volumesOf(pod);
  return mountsOf(pod, container).flatMap((mount) => {
    const volume = volumes.find((one) => one.name === mount.name);
    if (volume === undefined) {
      throw new ContainerProblem('CreateContainerConfigError', `there is no volume "${mount.name}" to mount`);
    }
    // A file with a slash at the end would not be found.
    const source = path
      .join(sourceOf(nodeDir, pod, volume), path.normalize(`/${mount.subPath ?? ''}`))
      .replace(/(?<=.)\/$/, '');
    const target = path.normalize(mount.mountPath);
    if (sharesFiles && source === target && isOfMachine(source)) return [];
    const relative = path.relative(nodeDir, source);
    return [
      {
        source: isOfMachine(source) ? source : `./${relative}`,
        target,
        readOnly: mount.readOnly === true,
        kind: kindOf(source),
      },
    ];
  });
}
