import type { AppliedPlan } from '../../api/daemonstate.ts';
import type { Connection, Gateway } from '../../api/types.ts';
import { describeStep, type NetworkPlan } from '../../net/plan.ts';
import type { NetworkState } from '../../net/state.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ReconcileLoop } from '../../runtime/loop.ts';
import type { EngineState, EngineWatcher } from '../context.ts';
import type { CableDriver, DesiredCables, ObservedCable } from '../drivers/driver.ts';

/** A connection's key: one cable of one cluster. */
export function connectionKey({ endpoint }: Connection): string {
  return `${endpoint.cluster_id}/${endpoint.cable_name}`;
}

/** Notes what an engine wants, does and reports, for its endpoints; holds only the last of each. */
export class EngineRecorder implements EngineWatcher {
  readonly #clock: Clock;
  readonly #connectedSince = new Map<string, number>();
  readonly startedAtMs: number;
  state: EngineState | undefined;
  loops: readonly ReconcileLoop[] = [];
  gateway: Gateway | undefined;
  cables: DesiredCables | undefined;
  network: NetworkState | undefined;
  applied: AppliedPlan | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.startedAtMs = clock.now();
  }

  /** Milliseconds since the epoch. */
  get nowMs(): number {
    return this.#clock.now();
  }

  /** The RFC 3339 time of a moment on the monotonic clock. */
  readonly ago = (monotonicMs: number): string =>
    new Date(Math.round(this.#clock.now() - this.#clock.monotonic() + monotonicMs)).toISOString();

  started(state: EngineState, loops: readonly ReconcileLoop[]): void {
    this.state = state;
    this.loops = loops;
  }

  reported(gateway: Gateway): void {
    this.gateway = gateway;
    const connected = gateway.status.connections.filter(({ status }) => status === 'connected').map(connectionKey);
    for (const key of this.#connectedSince.keys()) if (!connected.includes(key)) this.#connectedSince.delete(key);
    for (const key of connected) {
      if (!this.#connectedSince.has(key)) this.#connectedSince.set(key, this.#clock.now());
    }
  }

  /** Milliseconds since the epoch; undefined for a connection that is not connected. */
  connectedSince(connection: Connection): number | undefined {
    return this.#connectedSince.get(connectionKey(connection));
  }

  tookNetwork(desired: NetworkState, plan: NetworkPlan): void {
    this.network = desired;
    if (plan.length === 0) return;
    this.applied = { time: new Date(this.#clock.now()).toISOString(), steps: plan.flatMap(describeStep) };
  }

  /** The driver, with what is asked of it noted. */
  recording(driver: CableDriver): CableDriver {
    return new RecordedDriver(driver, (desired) => {
      this.cables = desired;
    });
  }
}

class RecordedDriver implements CableDriver {
  readonly #driver: CableDriver;
  readonly #note: (desired: DesiredCables) => void;

  constructor(driver: CableDriver, note: (desired: DesiredCables) => void) {
    this.#driver = driver;
    this.#note = note;
  }

  get name(): string {
    return this.#driver.name;
  }

  get description(): string {
    return this.#driver.description;
  }

  get slots(): number {
    return this.#driver.slots;
  }

  async start(signal: AbortSignal, after?: 'release'): Promise<void> {
    await this.#driver.start(signal, after);
  }

  async prepare(signal: AbortSignal): Promise<readonly string[]> {
    return this.#driver.prepare(signal);
  }

  async backendConfig(): Promise<Record<string, string>> {
    return this.#driver.backendConfig();
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    this.#note(desired);
    await this.#driver.sync(desired, signal);
  }

  async connections(): Promise<readonly ObservedCable[]> {
    return this.#driver.connections();
  }

  onChange(listener: () => void): void {
    this.#driver.onChange(listener);
  }

  async release(): Promise<() => Promise<void>> {
    return this.#driver.release();
  }

  async cleanup(): Promise<void> {
    await this.#driver.cleanup();
  }
}
