import { constants } from 'node:os';
import type { Container, ContainerState } from '../../kube/objects.ts';
import { Backoff } from '../../runtime/backoff.ts';
import { withAbort } from '../../runtime/abort.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { isAlive, signalProcess } from '../processes.ts';
import { ContainerProblem } from './image.ts';
import { signalGroup, type ContainerProcess, type Ended } from './launch.ts';
import { runProbe, type ProbeTarget } from './probes.ts';
import type { ContainerRecord } from './record.ts';
import type { ContainerView } from './status.ts';

/** A container that was started. */
export interface StartedContainer {
  readonly process: ContainerProcess;
  readonly env: Readonly<Record<string, string>>;
}

export interface ContainerOptions {
  readonly container: Container;
  /** `Never`: one run; `OnFailure`: until one succeeds; `Always`: for ever. */
  readonly restartPolicy: string;
  readonly imageId: string;
  readonly podIP: () => string;
  readonly start: () => Promise<StartedContainer>;
  /** Takes over the process that an earlier agent has started. */
  readonly adopt: (record: ContainerRecord, leave: AbortSignal) => ContainerProcess;
  /** The environment alone, for probes of a process taken over. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
  /** Called after every change of the view. */
  readonly changed: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Wait before the first restart; doubled with every further one. */
  readonly restartMs: number;
  /** Time between SIGTERM and SIGKILL when a probe ends the container. */
  readonly graceMs: number;
}

/** Longest wait between two starts of a container that keeps ending; a kubelet waits up to five minutes. */
const MAX_RESTART_MS = 10_000;
/** A container that has run so long starts anew at once when it ends. */
const STEADY_MS = 30_000;

/** Ends a container: SIGTERM to its process, after the grace period SIGKILL to its process group. */
export async function endProcess(process: ContainerProcess, clock: Clock, graceMs: number): Promise<void> {
  signalProcess(process.identity, 'SIGTERM');
  await withAbort(undefined, async (timer) => {
    await Promise.race([process.ended, clock.sleep(graceMs, timer.signal)]);
  });
  if (isAlive(process.identity)) signalGroup(process.identity, 'SIGKILL');
  await process.ended;
}

/**
 * Keeps one container of a pod running as its restart policy asks.
 *
 * INVARIANTS: at most one process of the container runs at a time; after `run` has resolved because of `stop`, none does;
 * when `leave` is aborted the process is left running for a later agent.
 */
export class ContainerRunner {
  readonly #options: ContainerOptions;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #graceMs = 0;
  #state: ContainerState = { waiting: { reason: 'PodInitializing' } };
  #lastState: ContainerState = {};
  #restartCount = 0;
  #ready = false;
  #record: ContainerRecord | undefined;

  constructor(options: ContainerOptions, record?: ContainerRecord) {
    this.#options = options;
    this.#record = record;
    this.#restartCount = record?.restartCount ?? 0;
    this.#backoff = new Backoff({ initialMs: options.restartMs, maxMs: MAX_RESTART_MS });
  }

  get view(): ContainerView {
    const { container, imageId } = this.#options;
    return {
      name: container.name,
      image: container.image ?? '',
      imageId,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#lastState,
      ready: this.#ready,
    };
  }

  /** What is to be kept on disk; undefined before the first start. */
  get record(): ContainerRecord | undefined {
    return this.#record;
  }

  /** Shows why the container has not been started. */
  wait(reason: string, message?: string): void {
    this.#show({ waiting: { reason, ...(message === undefined ? {} : { message }) } });
  }

  /** Asks the container to end within the grace period and never to start again; a shorter one given later counts. */
  stop(graceMs: number): void {
    this.#graceMs = graceMs;
    this.#stop.abort();
  }

  /** Resolves when the container has ended for good: true when its last run succeeded. */
  async run(leave: AbortSignal): Promise<boolean> {
    const stopping = this.#stop.signal;
    const halt = AbortSignal.any([stopping, leave]);
    while (!halt.aborted) {
      const started = await this.#begin(halt, leave);
      if (started !== undefined) {
        const ended = await this.#attend(started, stopping, leave);
        if (leave.aborted) return false;
        this.#finished(ended);
        if (!this.#again()) return this.#state.terminated?.exitCode === 0;
      }
      if (halt.aborted) break;
      await this.#pause(halt);
    }
    return false;
  }

  async #begin(halt: AbortSignal, leave: AbortSignal): Promise<StartedContainer | undefined> {
    const { start, adopt, environment, clock, logger, container } = this.#options;
    const before = this.#record;
    try {
      if (before !== undefined && this.#state.terminated === undefined && isAlive(before)) {
        const process = adopt(before, leave);
        this.#show({ running: { startedAt: before.startedAt } });
        return { process, env: await environment() };
      }
      const started = await start();
      const startedAt = rfc3339(clock);
      if (before !== undefined) this.#restartCount += 1;
      const { identity, container: box } = started.process;
      const boxed = box === undefined ? {} : { container: box };
      this.#record = { ...identity, ...boxed, startedAt, restartCount: this.#restartCount };
      this.#show({ running: { startedAt } });
      return started;
    } catch (error) {
      if (halt.aborted) return undefined;
      const reason = error instanceof ContainerProblem ? error.reason : 'CreateContainerError';
      logger.warn('container does not start', { container: container.name, reason, error: messageOf(error) });
      this.wait(reason, messageOf(error));
      return undefined;
    }
  }

  /** Watches over a running process; resolves when it has ended or is to be left alone. */
  async #attend(started: StartedContainer, stopping: AbortSignal, leave: AbortSignal): Promise<Ended> {
    const { clock } = this.#options;
    const { process } = started;
    return withAbort(leave, async (watch) => {
      void this.#probe(started, watch);
      const stopped = aborted(AbortSignal.any([stopping, watch.signal]));
      await Promise.race([process.ended, stopped]);
      if (leave.aborted) return {};
      if (isAlive(process.identity)) {
        await endProcess(process, clock, stopping.aborted ? this.#graceMs : this.#options.graceMs);
      }
      const ended = await process.ended;
      // What it started in its own process group does not outlive it.
      signalGroup(process.identity, 'SIGKILL');
      return ended;
    });
  }

  async #probe(started: StartedContainer, watch: AbortController): Promise<void> {
    const { container, clock, podIP, logger } = this.#options;
    const { readinessProbe, livenessProbe, startupProbe } = container;
    const target: ProbeTarget = { container, podIP: podIP(), process: started.process, env: started.env };
    const killing =
      (kind: string) =>
      (good: boolean): void => {
        if (good) return;
        logger.warn('container is restarted', { container: container.name, why: `its ${kind} probe failed` });
        watch.abort();
      };
    if (startupProbe !== undefined) {
      await withAbort(watch.signal, async (startup) => {
        await runProbe(startupProbe, target, clock, startup.signal, (good) => {
          if (good) startup.abort();
          else killing('startup')(false);
        });
      });
    }
    if (watch.signal.aborted) return;
    if (readinessProbe === undefined) this.#setReady(true);
    await Promise.all([
      ...(readinessProbe === undefined
        ? []
        : [runProbe(readinessProbe, target, clock, watch.signal, (good) => this.#setReady(good))]),
      ...(livenessProbe === undefined
        ? []
        : [runProbe(livenessProbe, target, clock, watch.signal, killing('liveness'))]),
    ]);
  }

  #finished(ended: Ended): void {
    const { clock } = this.#options;
    const startedAt = this.#state.running?.startedAt ?? rfc3339(clock);
    if (clock.now() - Date.parse(startedAt) > STEADY_MS) this.#backoff.reset();
    this.#show({ terminated: { ...describeEnd(ended), startedAt, finishedAt: rfc3339(clock) } });
  }

  #again(): boolean {
    if (this.#stop.signal.aborted) return false;
    const { restartPolicy } = this.#options;
    if (restartPolicy === 'Always') return true;
    return restartPolicy === 'OnFailure' && this.#state.terminated?.exitCode !== 0;
  }

  async #pause(halt: AbortSignal): Promise<void> {
    const { clock, container } = this.#options;
    const delayMs = Math.round(this.#backoff.nextMs());
    if (this.#state.terminated !== undefined) {
      this.#lastState = this.#state;
      this.wait(
        'CrashLoopBackOff',
        `back-off ${Math.ceil(delayMs / 1000)}s restarting failed container=${container.name}`,
      );
    }
    await clock.sleep(delayMs, halt);
  }

  #setReady(ready: boolean): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#options.changed();
  }

  #show(state: ContainerState): void {
    this.#state = state;
    if (state.running === undefined) this.#ready = false;
    this.#options.changed();
  }
}

/** The end of a process as a container's status has it; 137 stands for an end nobody saw, as a kubelet has it. */
function describeEnd(ended: Ended): { readonly exitCode: number; readonly signal?: number; readonly reason: string } {
  if (ended.exitCode !== undefined) {
    return { exitCode: ended.exitCode, reason: ended.exitCode === 0 ? 'Completed' : 'Error' };
  }
  if (ended.signal === undefined) return { exitCode: 137, reason: 'ContainerStatusUnknown' };
  const signal = constants.signals[ended.signal];
  return { exitCode: 128 + signal, signal, reason: 'Error' };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The time as objects carry it: RFC 3339 in whole seconds. */
export function rfc3339(clock: Clock): string {
  return new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
}
