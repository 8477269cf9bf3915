import { brokerEndpointNames } from '../api/names.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { ReconcileLoop } from '../runtime/loop.ts';
import { Absences } from './absence.ts';
import type { KubeClient, ResourceType } from './client.ts';
import { KubeApiError, isAlreadyExists, isConflict } from './errors.ts';
import { planMirror, type MirrorStep, type MirroredObject } from './mirrorplan.ts';
import { RESOURCES } from './resources.ts';
import { createStore, type Store } from './store.ts';

/** One end of the mirror. */
export interface MirrorSide {
  readonly client: KubeClient;
  readonly namespace: string;
}

export interface MirrorOptions {
  readonly clusterId: string;
  readonly local: MirrorSide;
  readonly broker: MirrorSide;
  /** Asked before each write; default: always. */
  readonly mayWrite?: () => boolean;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** Exchanges Clusters and Endpoints between a cluster and the broker. */
export interface Mirror {
  /** Why the broker cannot be watched now; undefined while it can. */
  readonly brokerProblem: string | undefined;
  /** Objects that are not mirrored and why, and writes the servers refuse. */
  readonly problems: readonly string[];
  /** Called when one of the above has changed. */
  onChange(listener: () => void): () => void;
  /** Mirrors until aborted; never rejects; may be called again afterwards. */
  run(signal: AbortSignal): Promise<void>;
}

/**
 * A mirror of the own Cluster and Endpoint to the broker and of the others' into the local namespace.
 *
 * INVARIANTS:
 * - nothing is written before all caches are filled; a broker (or API server) that is away freezes its side: no copy is
 *   deleted because its source cannot be seen;
 * - every write carries the resourceVersion, every deletion the uid it was decided on;
 * - a write that meets something newer than the cache knows is no failure: the watch brings it and leads to a new look;
 * - a cluster whose last object of a kind is gone from the broker keeps its copy for 1.5 s: a write that a former active
 *   gateway made before it was cut off arrives when it is back, and deletes what the present one publishes anew at once;
 * - an object one server refuses for good (validation, missing right) is reported and does not hold up the others.
 */
export function createMirror(options: MirrorOptions): Mirror {
  return new TwoWayMirror(options);
}

const STALE_MS = 1000;
const GRACE_MS = 1500;

interface Kind {
  readonly type: ResourceType;
  readonly local: Store<MirroredObject>;
  readonly broker: Store<MirroredObject>;
  readonly absences: Absences;
}

class TwoWayMirror implements Mirror {
  readonly #options: MirrorOptions;
  readonly #kinds: readonly Kind[];
  readonly #loop: ReconcileLoop;
  readonly #listeners = new Set<() => void>();
  #problems: readonly string[] = [];
  #announced = '';

  constructor(options: MirrorOptions) {
    const { local, broker, logger, clock } = options;
    this.#options = options;
    const timing = clock === undefined ? {} : { clock };
    const storeAt = (side: MirrorSide, type: ResourceType): Store<MirroredObject> =>
      createStore<MirroredObject>(side.client, type, { namespace: side.namespace, logger, ...timing });
    this.#kinds = [RESOURCES.clusters, RESOURCES.endpoints].map((type) => ({
      type,
      local: storeAt(local, type),
      broker: storeAt(broker, type),
      absences: new Absences(GRACE_MS, clock ?? systemClock),
    }));
    this.#loop = new ReconcileLoop({
      name: 'mirror',
      reconcile: (signal) => this.#reconcile(signal),
      logger,
      backoff: { initialMs: 250, maxMs: 5000 },
      ...timing,
    });
    for (const store of this.#stores()) store.onChange(() => this.#changed());
  }

  get brokerProblem(): string | undefined {
    return this.#kinds.map(({ broker }) => broker.problem).find((problem) => problem !== undefined);
  }

  get problems(): readonly string[] {
    return this.#problems;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#loop.trigger();
    await Promise.all([this.#loop.run(signal), ...this.#stores().map((store) => store.run(signal))]);
  }

  #stores(): readonly Store<MirroredObject>[] {
    return this.#kinds.flatMap(({ local, broker }) => [local, broker]);
  }

  #changed(): void {
    this.#loop.trigger();
    this.#announce();
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    if (!this.#stores().every(({ synced }) => synced)) return;
    const problems: string[] = [];
    const errors: unknown[] = [];
    for (const { type, local, broker, absences } of this.#kinds) {
      const plan = planMirror({
        clusterId: this.#options.clusterId,
        localNamespace: this.#options.local.namespace,
        brokerNamespace: this.#options.broker.namespace,
        local: local.list(),
        broker: broker.list(),
        brokerNames: brokerNames(type, this.#options.clusterId),
      });
      problems.push(...plan.problems);
      for (const step of this.#due(plan.steps, broker.list(), absences, signal)) {
        if (this.#options.mayWrite?.() === false) return;
        try {
          await this.#carryOut(type, step, signal);
        } catch (error) {
          if (signal.aborted) return;
          errors.push(error);
        }
      }
    }
    this.#report([...problems, ...errors.filter(isFinal).map(messageOf)]);
    if (errors.some(isStale)) void this.#lookAgain(signal);
    const failures = errors.filter((error) => !isFinal(error) && !isStale(error));
    if (failures.length > 0) {
      const [first] = failures;
      throw new ExpectedError(`${failures.length} writes of the mirror failed, first: ${messageOf(first)}`, {
        cause: first,
      });
    }
  }

  /** In case the watch takes its time. */
  async #lookAgain(signal: AbortSignal): Promise<void> {
    this.#options.logger.debug('the cache of the mirror was behind, looking again', { waitMs: STALE_MS });
    await this.#lookAfter(STALE_MS, signal);
  }

  async #lookAfter(ms: number, signal: AbortSignal): Promise<void> {
    await (this.#options.clock ?? systemClock).sleep(ms, signal);
    this.#loop.trigger();
  }

  /** Without the copies that nothing on the broker takes the place of yet. */
  #due(
    steps: readonly MirrorStep[],
    broker: readonly MirroredObject[],
    absences: Absences,
    signal: AbortSignal,
  ): readonly MirrorStep[] {
    const present = new Set(broker.map(({ spec }) => spec?.cluster_id));
    const isLast = ({ on, action, object }: MirrorStep): boolean =>
      on === 'local' && action === 'delete' && !present.has(object.spec?.cluster_id);
    const keyOf = ({ object }: MirrorStep): string => object.metadata.uid ?? object.metadata.name ?? '';
    const { gone, waitMs } = absences.look(steps.filter(isLast).map(keyOf));
    if (waitMs !== undefined) void this.#lookAfter(waitMs, signal);
    return steps.filter((step) => !isLast(step) || gone.has(keyOf(step)));
  }

  async #carryOut(type: ResourceType, step: MirrorStep, signal: AbortSignal): Promise<void> {
    const { client, namespace } = step.on === 'broker' ? this.#options.broker : this.#options.local;
    const { name = '', uid } = step.object.metadata;
    if (step.action === 'create') await client.create(type, step.object, { signal });
    else if (step.action === 'replace') await client.replace(type, step.object, { signal });
    else await client.delete(type, name, { namespace, signal, ...(uid === undefined ? {} : { uid }) });
    this.#options.logger.info('mirrored', { action: step.action, on: step.on, kind: type.kind, name });
  }

  #report(problems: readonly string[]): void {
    for (const problem of problems) {
      if (!this.#problems.includes(problem)) this.#options.logger.warn('not mirrored', { problem });
    }
    this.#problems = problems;
    this.#announce();
  }

  #announce(): void {
    const state = JSON.stringify([this.#problems, this.brokerProblem]);
    if (state === this.#announced) return;
    this.#announced = state;
    for (const listener of this.#listeners) listener();
  }
}

/** Clusters are called by their ID; Endpoints have names that the broker's roles can know beforehand. */
export function brokerNames({ plural }: ResourceType, clusterId: string): readonly string[] | undefined {
  return plural === RESOURCES.endpoints.plural ? brokerEndpointNames(clusterId) : undefined;
}

/** Refusals that trying again soon does not change; the loop's resync tries them again. */
function isFinal(error: unknown): boolean {
  return error instanceof KubeApiError && [400, 403, 413, 422].includes(error.code);
}

/** The object is not as the cache has it. */
function isStale(error: unknown): boolean {
  return isAlreadyExists(error) || isConflict(error);
}
