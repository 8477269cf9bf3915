import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Container, Pod } from '../../kube/objects.ts';
import type { Clock } from '../../runtime/clock.ts';
import { namespaceFile } from '../fabric/namespaces.ts';
import type { Podman } from '../podman/podman.ts';
import { expand } from './environment.ts';
import { commandOf, imageBaseName, programOf, type ImageTable } from './image.ts';
import { adoptProcess, launchContainer, type ContainerProcess } from './launch.ts';
import { locateOnMachine, mountWords, type Mount } from './mounts.ts';
import { podKey } from './network.ts';
import { logFile, type ContainerRecord, type PodRecord } from './record.ts';
import { containerMounts } from './storage.ts';

/** How podman runs the containers of a node. */
export interface PodmanOfNode {
  readonly podman: Podman;
  /** Network namespace of the node. */
  readonly network: string;
  readonly cgroupParent: string;
}

/** What runs the containers of a node's pods. */
export interface ContainerHost {
  readonly clock: Clock;
  readonly nodeDir: string;
  readonly images: ImageTable;
  /** Runs what no program of this machine stands for; undefined: nothing does. */
  readonly podman?: PodmanOfNode;
}

/** One container that is to be started. */
export interface ContainerStart {
  readonly pod: Pod;
  readonly record: PodRecord;
  readonly container: Container;
  readonly env: Readonly<Record<string, string>>;
  readonly hostName: string;
}

/** Podman, when it is to run this container. */
function podmanFor({ podman, images }: ContainerHost, container: Container): PodmanOfNode | undefined {
  return images[imageBaseName(container.image ?? '')] === undefined ? podman : undefined;
}

/** The environment that a container has from its image; podman adds that of a real one. Throws ContainerProblem ErrImagePull. */
export function imageEnvironment(host: ContainerHost, container: Container): Readonly<Record<string, string>> {
  if (podmanFor(host, container) !== undefined) return {};
  return programOf(container, host.images).env ?? {};
}

/** Starts a container as a program of this machine, or from its image. Rejects with ContainerProblem. */
export async function startContainer(host: ContainerHost, start: ContainerStart): Promise<ContainerProcess> {
  const podman = podmanFor(host, start.container);
  return podman === undefined ? startProgram(host, start) : startImage(host, start, podman);
}

/** Takes over a container's process that an earlier agent has started. */
export function adoptContainer(host: ContainerHost, record: ContainerRecord, leave: AbortSignal): ContainerProcess {
  const { podman } = host.podman ?? {};
  if (podman === undefined || record.container === undefined) return adoptProcess(record, host.clock, leave);
  return podman.adopt(record, record.container, leave);
}

function logOf(nodeDir: string, { record, container }: ContainerStart): string {
  return logFile(nodeDir, record.namespace, record.name, container.name);
}

function startProgram({ nodeDir, images }: ContainerHost, start: ContainerStart): Promise<ContainerProcess> {
  const { pod, record, container, env, hostName } = start;
  return launchContainer({
    ...(record.network === undefined ? {} : { namespace: record.network }),
    hostName,
    nodeDir,
    mounts: mountWords(containerMounts(nodeDir, pod, container), locateOnMachine),
    command: commandOf(container, programOf(container, images)).map((word) => expand(word, env)),
    env,
    logFile: logOf(nodeDir, start),
  });
}

function startImage(
  { nodeDir }: ContainerHost,
  start: ContainerStart,
  { podman, network, cgroupParent }: PodmanOfNode,
): Promise<ContainerProcess> {
  const { pod, record, container, env, hostName } = start;
  const filled = (words: readonly string[] = []): readonly string[] => words.map((word) => expand(word, env));
  const absolute = (mount: Mount): Mount => ({ ...mount, source: path.resolve(nodeDir, mount.source) });
  return podman.start(
    {
      // A new one each time: what is left of a container that was killed with its node need not be gone yet.
      name: `${container.name}-${podKey(record.uid)}-${randomBytes(3).toString('hex')}`,
      container,
      podSecurity: pod.spec.securityContext,
      command: filled(container.command),
      args: filled(container.args),
      env,
      mounts: containerMounts(nodeDir, pod, container, false).map(absolute),
      network: namespaceFile(record.network ?? network),
      hostName,
      cgroupParent,
    },
    logOf(nodeDir, start),
  );
}
