import { validName } from '../api/names.ts';
import type { Involved } from '../kube/events.ts';
import type { EngineDependencies, EngineState } from './context.ts';

type Part = 'active' | 'ready' | 'not ready';

interface GatewayEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** A gateway that has just started, or whose surroundings have, is not ready for a while; that is no news. */
const PATIENCE_MS = 15_000;

/** Tells operators, by Events of the Gateway and of its Node, when the part of this gateway changed. */
export class Transitions {
  #told: Part | undefined;
  #reason = '';
  #unreadySinceMs: number | undefined;
  #alone = false;

  /** To be called after each look; writes only what is new. Never rejects. */
  async tell(dependencies: EngineDependencies, state: EngineState, signal: AbortSignal): Promise<void> {
    const { availability } = state;
    const failover = availability.published();
    this.#tellAlone(dependencies, state);
    const { reason } = availability.readiness;
    const [before, now] = [this.#told, partOf(dependencies, state)];
    if (this.#isEarly(now, dependencies)) return;
    const news = before !== now || (now === 'not ready' && reason !== this.#reason);
    this.#told = now;
    this.#reason = reason;
    if (failover !== undefined) {
      const { from, cause, durationMs } = failover;
      const message = `took over from gateway ${from}: ${cause} (${durationMs} ms)`;
      await record(dependencies, { type: 'Normal', reason: 'GatewayActive', message }, signal);
    } else if (news) {
      await record(dependencies, describe(now, before, { reason, active: availability.activeElsewhere }), signal);
    }
  }

  #isEarly(now: Part, { clock }: EngineDependencies): boolean {
    if (now === 'not ready') this.#unreadySinceMs ??= clock.monotonic();
    else this.#unreadySinceMs = undefined;
    const early = this.#unreadySinceMs !== undefined && clock.monotonic() - this.#unreadySinceMs < PATIENCE_MS;
    return early && this.#told !== 'active';
  }

  #tellAlone({ elector, logger }: EngineDependencies, { availability }: EngineState): void {
    const alone = elector.leader && availability.announced?.gateways.length === 1;
    if (alone && !this.#alone) logger.info('this cluster has one gateway: nothing can take over when it fails');
    this.#alone = alone;
  }
}

function partOf({ elector }: EngineDependencies, { availability }: EngineState): Part {
  const passive = availability.readiness.ready ? 'ready' : 'not ready';
  return elector.leader ? 'active' : passive;
}

function describe(
  now: Part,
  before: Part | undefined,
  { reason, active }: { readonly reason: string; readonly active: string | undefined },
): GatewayEvent {
  if (now === 'active') return { type: 'Normal', reason: 'GatewayActive', message: 'is the active gateway' };
  if (before === 'active') {
    const message = `is no longer the active gateway${active === undefined ? '' : `; ${active} is`}`;
    return { type: 'Normal', reason: 'GatewayPassive', message };
  }
  if (now === 'ready') return { type: 'Normal', reason: 'StandbyReady', message: 'could take over at once' };
  return { type: 'Warning', reason: 'StandbyNotReady', message: `could not take over: ${reason}` };
}

async function record(
  { config, events, stores }: EngineDependencies,
  event: GatewayEvent,
  signal: AbortSignal,
): Promise<void> {
  const { nodeName, namespace } = config;
  const name = validName(nodeName);
  const identified = (involved: Involved, uid: string | undefined): Involved =>
    uid === undefined ? involved : { ...involved, uid };
  const gateway = { apiVersion: 'submariner.io/v1', kind: 'Gateway', name, namespace };
  await events.record(identified(gateway, stores.gateways.get(name, namespace)?.metadata.uid), event, signal);
  const onNode = { ...event, message: `Gateway of cluster ${config.clusterId}: ${event.message}` };
  const node = { apiVersion: 'v1', kind: 'Node', name: nodeName };
  await events.record(identified(node, stores.nodes.list()[0]?.metadata.uid), onNode, signal);
}
