import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Environment } from '../../runtime/process.ts';
import { ContainerProblem } from '../pods/image.ts';
import type { ContainerProcess, Ended } from '../pods/launch.ts';
import { identify, isAlive, type ProcessIdentity } from '../processes.ts';
import { podmanEnvironment, podmanHome, type PodmanContainer } from './home.ts';
import { runWords, type ContainerRun } from './words.ts';

/** A command line and the environment it needs. */
export interface PodmanCommand {
  readonly command: readonly string[];
  readonly env: Environment;
}

const WATCH_MS = 100;
const EXIT_MS = 5000;
const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A podman command of a sandbox. */
export function podmanCommand(home: string, words: readonly string[]): PodmanCommand {
  return { command: ['podman', ...words], env: podmanEnvironment(podmanHome(home), SEARCH_PATH) };
}

/** The command line that runs a program in a container, with the container's rights and environment. */
export function podmanExec({ name, home }: PodmanContainer, command: readonly string[]): PodmanCommand {
  return podmanCommand(home, ['exec', '--interactive', name, ...command]);
}

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs podman to its end. With a log file its descriptors are that file, which the container inherits. */
function podman(home: string, words: readonly string[], log?: number): Promise<Output> {
  const { command, env } = podmanCommand(home, words);
  const [file = '', ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      env: { ...env },
      stdio: log === undefined ? ['ignore', 'pipe', 'pipe'] : ['ignore', log, log],
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (error) => resolve({ code: null, stdout, stderr: error.message }));
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** The containers of the pods of one node, run by podman from images. */
export class Podman {
  readonly home: string;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(home: string, dependencies: { readonly clock: Clock; readonly logger: Logger }) {
    this.home = home;
    this.#clock = dependencies.clock;
    this.#logger = dependencies.logger;
  }

  /** Runs a container whose output is appended to a file. Rejects with ContainerProblem when it cannot be started. */
  async start(run: ContainerRun, logFile: string): Promise<ContainerProcess> {
    const { image = '' } = run.container;
    const found = await podman(this.home, ['image', 'exists', image]);
    if (found.code !== 0) {
      const why = found.stderr.trim() || 'it is not on this machine; npm run images builds ours';
      throw new ContainerProblem('ErrImageNeverPull', `image "${image}": ${why}`);
    }
    mkdirSync(path.dirname(logFile), { recursive: true });
    const log = openSync(logFile, 'a', 0o600);
    try {
      const { code } = await podman(this.home, runWords(run), log);
      if (code !== 0) {
        void this.#remove(run.name);
        throw new ContainerProblem(
          'CreateContainerError',
          `podman run ended with ${code ?? 'nothing'}, see ${logFile}`,
        );
      }
    } finally {
      closeSync(log);
    }
    const { stdout } = await podman(this.home, ['inspect', '--format={{.State.Pid}} {{.ID}}', run.name]);
    const [pidText, id = ''] = stdout.trim().split(' ');
    const pid = Number(pidText);
    // A process that has ended by now has no number any more.
    const identity = (pid > 0 ? identify(pid) : undefined) ?? { pid, startTime: 'ended' };
    const container = { name: run.name, id, home: this.home };
    return { identity, container, ended: this.#end(identity, container, new AbortController().signal) };
  }

  /** Takes over a container that an earlier agent has started. */
  adopt({ pid, startTime }: ProcessIdentity, container: PodmanContainer, leave: AbortSignal): ContainerProcess {
    const identity = { pid, startTime };
    return { identity, container, ended: this.#end(identity, container, leave) };
  }

  /** Resolves when the process has ended and its container is removed. */
  async #end(identity: ProcessIdentity, container: PodmanContainer, leave: AbortSignal): Promise<Ended> {
    while (isAlive(identity)) {
      if (leave.aborted) return {};
      await this.#clock.sleep(WATCH_MS, leave);
    }
    if (leave.aborted) return {};
    const ended = await this.#exitCode(container);
    await this.#remove(container.name);
    return ended;
  }

  /** What watches over a container writes down how it ended, unless it was killed, too. */
  async #exitCode({ id, home }: PodmanContainer): Promise<Ended> {
    if (id === '') return {};
    const file = path.join(home, 'tmp/exits', id);
    for (const deadline = this.#clock.monotonic() + EXIT_MS; this.#clock.monotonic() < deadline;) {
      const said = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
      if (/^\d+$/.test(said)) return { exitCode: Number(said) };
      await this.#clock.sleep(WATCH_MS);
    }
    return {};
  }

  async #remove(name: string): Promise<void> {
    const { code, stderr } = await podman(this.home, ['rm', '--force', '--ignore', '--time=0', name]);
    if (code !== 0) this.#logger.debug('container stays until the sandbox is removed', { name, stderr });
  }
}
