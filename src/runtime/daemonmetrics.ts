import type { LoopCounts } from './loop.ts';
import type { Metric } from './metrics.ts';

/** What every daemon counts. */
export interface DaemonFacts {
  readonly version: string;
  readonly startedAtMs: number;
  readonly ready: boolean;
  readonly loops: readonly LoopCounts[];
  readonly caches: readonly { readonly resource: string; readonly synced: boolean; readonly problem: string | null }[];
}

/** What only a new process would mend: a look that does not end. Every wait in it is bounded, so that this is a bug. */
export function stuckLoops(loops: readonly LoopCounts[], limitMs = 600_000): readonly string[] {
  return loops
    .filter(({ runningMs }) => runningMs > limitMs)
    .map(({ name, runningMs }) => `the loop "${name}" has not ended its run for ${Math.round(runningMs / 1000)} s`);
}

function gauge(name: string, help: string, value: number, labels: Readonly<Record<string, string>> = {}): Metric {
  return { name, type: 'gauge', help, samples: [{ labels, value }] };
}

/** Version, readiness, loops, caches and the process itself. */
export function daemonMetrics({ version, startedAtMs, ready, loops, caches }: DaemonFacts): readonly Metric[] {
  const { userCPUTime, systemCPUTime } = process.resourceUsage();
  const ofLoops = (name: string, help: string, field: 'runs' | 'failures'): Metric => ({
    name,
    type: 'counter',
    help,
    samples: loops.map((loop) => ({ labels: { loop: loop.name }, value: loop[field] })),
  });
  const ofCaches = (name: string, help: string, holds: (cache: DaemonFacts['caches'][number]) => boolean): Metric => ({
    name,
    type: 'gauge',
    help,
    samples: caches.map((cache) => ({ labels: { resource: cache.resource }, value: Number(holds(cache)) })),
  });
  return [
    gauge('submariner_build_info', 'The version of the daemon; always 1.', 1, { version }),
    gauge('submariner_ready', 'Whether the daemon does its work.', Number(ready)),
    ofLoops('submariner_reconcile_total', 'Looks at a part of the node or the cluster.', 'runs'),
    ofLoops('submariner_reconcile_failures_total', 'Looks that left something to do.', 'failures'),
    ofCaches(
      'submariner_cache_synced',
      'Whether a resource was read from the API server once.',
      ({ synced }) => synced,
    ),
    ofCaches(
      'submariner_cache_watched',
      'Whether changes of a resource arrive from the API server now.',
      ({ problem }) => problem === null,
    ),
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'CPU time of the process.',
      samples: [{ value: (userCPUTime + systemCPUTime) / 1e6 }],
    },
    gauge('process_resident_memory_bytes', 'Resident memory of the process.', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', 'Start of the process, since the epoch.', startedAtMs / 1000),
  ];
}
