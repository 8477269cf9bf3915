import type { LatencyRtt } from '../api/types.ts';
import type { PingListener, PingWatcher } from '../host/ping.ts';
import { withAbort } from '../runtime/abort.ts';
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

/** Until its first answer a cable is probed that often, but not for longer than a few seconds. */
const EAGER_INTERVAL_MS = 250;
const EAGER_MS = 10_000;

interface Probe {
  readonly address: string;
  readonly stop: AbortController;
  readonly rtt: RttWindow;
  /** On the monotonic clock. */
  quietSinceMs: number;
  /** Time of the answer that ended the last silence, on the monotonic clock; undefined before the first. */
  answeringSinceMs: number | undefined;
  /** Ends the eager probes. */
  found: () => void;
  /** The state the listeners know of. */
  told: ProbeReport['state'];
  failure: string | undefined;
}

/**
 * Probes each cable without pause and keeps its statistics.
 *
 * INVARIANTS: one probe a target, started when the target appears and stopped when it goes; a changed address starts
 * anew; whether a cable is dead depends only on the time since the last answer, so that a probe program that hangs or
 * cannot start counts as silence; a probe sent while the cable was silent counts as an answer but not as a round-trip
 * time, because it has waited for neighbours, handshakes and the other end.
 */
export class HealthCheck {
  readonly #options: HealthCheckOptions;
  readonly #probes = new Map<string, Probe>();
  readonly #listeners = new Set<() => void>();

  constructor(options: HealthCheckOptions) {
    this.#options = options;
  }

  /** Called when the state of any cable changed, or its first round-trip time is known. */
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
    if (this.#isSilent(probe)) return { ...base, state: 'dead', silentSinceMs: Math.round(clock.now() - quietMs) };
    return { ...base, state: probe.answeringSinceMs === undefined ? 'waiting' : 'alive' };
  }

  /** Cables that carry nothing. */
  dead(): readonly string[] {
    return [...this.#probes.keys()].filter((name) => this.report(name)?.state === 'dead');
  }

  #start({ cableName, address }: ProbeTarget, source: string | undefined): void {
    const probe: Probe = {
      address,
      stop: new AbortController(),
      rtt: new RttWindow(),
      quietSinceMs: this.#options.clock.monotonic(),
      answeringSinceMs: undefined,
      found: () => undefined,
      told: 'waiting',
      failure: undefined,
    };
    this.#probes.set(cableName, probe);
    void this.#watch(probe, source);
  }

  /** Eagerly until the first answer, then at the pace that was asked for. */
  async #watch(probe: Probe, source: string | undefined): Promise<void> {
    const { ping, intervalMs, clock } = this.#options;
    const target = { address: probe.address, ...(source === undefined ? {} : { source }) };
    const listener: PingListener = {
      onReply: (rttMs) => this.#answered(probe, rttMs),
      onFailure: (reason) => {
        probe.failure = reason;
      },
    };
    await withAbort(probe.stop.signal, async (eager) => {
      probe.found = () => eager.abort();
      void clock.sleep(EAGER_MS, eager.signal).then(() => eager.abort());
      await ping({ ...target, intervalMs: Math.min(EAGER_INTERVAL_MS, intervalMs) }, listener, eager.signal);
    });
    if (!probe.stop.signal.aborted) await ping({ ...target, intervalMs }, listener, probe.stop.signal);
  }

  #answered(probe: Probe, rttMs: number): void {
    const nowMs = this.#options.clock.monotonic();
    if (probe.answeringSinceMs === undefined || this.#isSilent(probe)) probe.answeringSinceMs = nowMs;
    probe.quietSinceMs = nowMs;
    probe.failure = undefined;
    const first = probe.rtt.latency() === undefined;
    const counts = nowMs - rttMs >= probe.answeringSinceMs;
    if (counts) probe.rtt.add(rttMs);
    probe.found();
    if (probe.told === 'alive' && !(first && counts)) return;
    probe.told = 'alive';
    this.#notify();
  }

  #isSilent({ quietSinceMs }: Probe): boolean {
    const { clock, intervalMs, maxPacketLossCount } = this.#options;
    return clock.monotonic() - quietSinceMs > intervalMs * (maxPacketLossCount + 1);
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
