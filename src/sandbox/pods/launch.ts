import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { messageOf } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/clock.ts';
import { namespaceFile } from '../fabric/namespaces.ts';
import type { PodmanContainer } from '../podman/home.ts';
import { identify, isAlive, type ProcessIdentity } from '../processes.ts';
import { ContainerProblem } from './image.ts';

/** Everything a container's process is started with. */
export interface Launch {
  /** Network namespace to run in; without it that of the caller. */
  readonly namespace?: string;
  readonly hostName: string;
  /** Relative mount sources are below it. */
  readonly nodeDir: string;
  /** From `mountWords`. */
  readonly mounts: readonly string[];
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
}

/** How a process ended; both undefined when nobody could see it. */
export interface Ended {
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
}

export interface ContainerProcess {
  /** Set when podman runs it. */
  readonly container?: PodmanContainer;
  readonly identity: ProcessIdentity;
  /** Resolves when the process has ended; never rejects. */
  readonly ended: Promise<Ended>;
}

/**
 * Runs inside fresh mount and UTS namespaces: own /run, /sys of the network namespace, the mounts, then the program.
 * Mount sources are relative to the working directory, so they are found even when they are below /run. A word on
 * descriptor 3 says that everything stands: nothing may enter the namespaces earlier, it would find the machine's /run.
 */
const SCRIPT = `set -e
printf %s "$1" > /proc/sys/kernel/hostname
shift
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
while [ "$1" != -- ]; do
  case "$1" in
    overlay)
      mkdir -p "/run/.layers/$2/upper" "/run/.layers/$2/work"
      mount -t overlay -o "lowerdir=$3,upperdir=/run/.layers/$2/upper,workdir=/run/.layers/$2/work" overlay "$3"
      shift 3 ;;
    directory) mkdir -p "$2"; shift 2 ;;
    file) mkdir -p "\${2%/*}"; [ -e "$2" ] || : > "$2"; shift 2 ;;
    bind) mount --bind "$2" "$3"; shift 3 ;;
    bind-read-only) mount --bind "$2" "$3"; mount -o remount,bind,ro "$3"; shift 3 ;;
    *) echo "sandbox: unknown word $1" >&2; exit 125 ;;
  esac
done
shift
cd /
echo set-up >&3
exec 3>&- "$@"
`;

/** Starts a container's process; it outlives the caller. Rejects with ContainerProblem when it cannot be started. */
export async function launchContainer(launch: Launch): Promise<ContainerProcess> {
  const enter = launch.namespace === undefined ? [] : ['nsenter', `--net=${namespaceFile(launch.namespace)}`, '--'];
  const isolate = ['unshare', '--mount', '--uts', '--propagation', 'slave', '--'];
  const words = ['sh', '-c', SCRIPT, 'sandbox', launch.hostName, ...launch.mounts, '--', ...launch.command];
  const [file = '', ...args] = [...enter, ...isolate, ...words];
  mkdirSync(path.dirname(launch.logFile), { recursive: true });
  const log = openSync(launch.logFile, 'a', 0o600);
  try {
    const child = spawn(file, args, {
      cwd: launch.nodeDir,
      detached: true,
      env: { ...launch.env },
      stdio: ['ignore', log, log, 'pipe'],
    });
    const ended = new Promise<Ended>((resolve) => {
      child.once('exit', (code, signal) =>
        resolve({ ...(code === null ? {} : { exitCode: code }), ...(signal === null ? {} : { signal }) }),
      );
    });
    await spawned(child);
    const said = await wordsOf(child.stdio[3]);
    const pid = child.pid ?? 0;
    if (!said.includes('set-up')) {
      throw new ContainerProblem('CreateContainerError', `its file system cannot be set up, see ${launch.logFile}`);
    }
    // A process that has ended by now is still there to be reaped, only not alive.
    return { identity: identify(pid) ?? { pid, startTime: 'ended' }, ended };
  } catch (error) {
    if (error instanceof ContainerProblem) throw error;
    throw new ContainerProblem('StartError', `cannot start ${launch.command[0] ?? ''}: ${messageOf(error)}`);
  } finally {
    closeSync(log);
  }
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
}

/** Everything that is written until the other end is closed. */
async function wordsOf(stream: ChildProcess['stdio'][number] | undefined): Promise<string> {
  let text = '';
  if (stream instanceof Readable) for await (const chunk of stream) text += String(chunk);
  return text;
}

const WATCH_MS = 500;

/** Takes over a process that an earlier agent started; how it ends cannot be seen. */
export function adoptProcess(identity: ProcessIdentity, clock: Clock, signal: AbortSignal): ContainerProcess {
  const watch = async (): Promise<Ended> => {
    while (isAlive(identity) && !signal.aborted) await clock.sleep(WATCH_MS, signal);
    return {};
  };
  return { identity, ended: watch() };
}

/** Sends a signal to a container's process and what it started in its own process group; false when all have ended. */
export function signalGroup(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}
