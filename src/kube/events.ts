import { randomUUID } from 'node:crypto';
import type { Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { KubeClient, KubeObject } from './client.ts';
import { RESOURCES } from './resources.ts';

/** The object an Event tells of. */
export interface Involved {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Absent for an object outside namespaces; its Events are in `default`, as Kubernetes wants it. */
  readonly namespace?: string;
  readonly uid?: string;
}

export interface EventRecorderOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Who tells: `source.component`. */
  readonly component: string;
  /** Node the component runs on. */
  readonly host: string;
}

interface EventObject extends KubeObject {
  readonly involvedObject: Involved;
  readonly reason: string;
  readonly message: string;
  readonly type: 'Normal' | 'Warning';
}

/** Longest message the API server takes (core/v1 Event validation). */
const MAX_MESSAGE = 1024;

/** Writes Events; one that cannot be written is logged and forgotten, as nothing depends on it. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** `reason` is one word in UpperCamelCase; never rejects. */
  async record(
    involvedObject: Involved,
    {
      type,
      reason,
      message,
    }: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { client, logger, clock, component, host } = this.#options;
    const time = new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
    const namespace = involvedObject.namespace ?? 'default';
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${involvedObject.name}.${randomUUID()}`, namespace },
      involvedObject,
      type,
      reason,
      message: message.slice(0, MAX_MESSAGE),
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    };
    try {
      await client.create<EventObject>(RESOURCES.events, event, { signal });
    } catch (error) {
      logger.warn('could not write an Event', { reason, error: messageOf(error) });
    }
  }
}
