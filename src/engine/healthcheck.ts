import type { LatencyRtt } from '../api/types.ts';
import type { PingWatcher } from '../host/ping.ts';
import type { Clock } from '../runtime/clock.ts';
import { RttWindow } from './rtt.ts';

/** What is probed: the healthCheckIP of a remote Endpoint, through its cable. */
export interface ProbeTarget {
  readonly cableName: string;
  readonly address: string;
}

/** What the probes of a cable found. */
export interface ProbeReport {
  readonly address: string;
  /** waiting: too early to tell. */
  readonly state: 'waiting' | 'alive' | 'dead';
  /** Time of the first unanswered probe, milliseconds since the epoch; with state dead. */
  readonly silentSinceMs?: number;
  /** Why probes cannot even be sent. */
  readonly failure?: string;
  readonly latency?: LatencyRtt;
}

export interface HealthCheckOptions {
  readonly ping: PingWatcher;
  readonly intervalMs: number;
  /** With more probes than that unanswered in a row, a cable is dead. */
  readonly maxPacketLossCount: number;
  readonly clock: Clock;
}

interface Probe {
  readonly address: string;
  readonly stop: AbortController;
  readonly rtt: RttWindow;
  /** On the monotonic clock. */
  quietSinceMs: number;
  answered: boolean;
  /** The state the listeners know of. */
  told: ProbeReport['state'];
  failure: string | undefined;
}

/**
 * Probes each cable without pause and keeps its statistics.
 *
 * INVARIANTS: one probe a target, started when the target appears and stopped when it goes; a changed address starts
 * anew; whether a cable is dead depends only on the time since the last answer, so that a probe program that hangs or
 * cannot start counts as silence.
 */
export class HealthCheck {
  readonly #options: HealthCheckOptions;
  readonly #probes = new Map<string, Probe>();
  readonly #listeners = new Set<() => void>();

  constructor(options: HealthCheckOptions) {
    this.#options = options;
  }

  /** Called when the state of any cable changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Notices silence; runs until aborted, then stops all probes. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(this.#options.intervalMs, signal);
      const changed = [...this.#probes].filter(([name, probe]) => this.report(name)?.state !== probe.told);
      for (const [name, probe] of changed) probe.told = this.report(name)?.state ?? 'waiting';
      if (changed.length > 0) this.#notify();
    }
    this.setTargets([], undefined);
  }

  /** Exactly these are probed from now on; `source` is the address probes are sent from. */
  setTargets(targets: readonly ProbeTarget[], source: string | undefined): void {
    const wanted = new Map(targets.map((target) => [target.cableName, target]));
    for (const [name, probe] of this.#probes) {
      if (wanted.get(name)?.address === probe.address) continue;
      probe.stop.abort();
      this.#probes.delete(name);
    }
    for (const target of targets) if (!this.#probes.has(target.cableName)) this.#start(target, source);
  }

  /** undefined for a cable that is not probed. */
  report(cableName: string): ProbeReport | undefined {
    const probe = this.#probes.get(cableName);
    if (probe === undefined) return undefined;
    const { clock } = this.#options;
    const quietMs = clock.monotonic() - probe.quietSinceMs;
    const latency = probe.rtt.latency();
    const base = {
      address: probe.address,
      ...(probe.failure === undefined ? {} : { failure: probe.failure }),
      ...(latency === undefined ? {} : { latency }),
    };
    const dead = quietMs > this.#options.intervalMs * (this.#options.maxPacketLossCount + 1);
    if (dead) return { ...base, state: 'dead', silentSinceMs: Math.round(clock.now() - quietMs) };
    return { ...base, state: probe.answered ? 'alive' : 'waiting' };
  }

  /** Cables that carry nothing. */
  dead(): readonly string[] {
    return [...this.#probes.keys()].filter((name) => this.report(name)?.state === 'dead');
  }

  #start({ cableName, address }: ProbeTarget, source: string | undefined): void {
    const { ping, intervalMs, clock } = this.#options;
    const probe: Probe = {
      address,
      stop: new AbortController(),
      rtt: new RttWindow(),
      quietSinceMs: clock.monotonic(),
      answered: false,
      told: 'waiting',
      failure: undefined,
    };
    this.#probes.set(cableName, probe);
    void ping(
      { address, intervalMs, ...(source === undefined ? {} : { source }) },
      {
        onReply: (rttMs) => this.#answered(probe, rttMs),
        onFailure: (reason) => {
          probe.failure = reason;
        },
      },
      probe.stop.signal,
    );
  }

  #answered(probe: Probe, rttMs: number): void {
    probe.quietSinceMs = this.#options.clock.monotonic();
    probe.answered = true;
    probe.failure = undefined;
    probe.rtt.add(rttMs);
    if (probe.told === 'alive') return;
    probe.told = 'alive';
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
