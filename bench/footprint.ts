import { readFileSync } from 'node:fs';
import { pause, run } from './command.ts';
import { type Benchmark, type Measurement, median } from './report.ts';
import { type BenchSandbox, type Driver, DRIVERS, withSandbox } from './sandbox.ts';

const SETTLE_MS = 45_000;
const WATCH_MS = 60_000;
const MIB = 1024;

/** A process on a node at one moment. */
interface Sample {
  readonly pid: number;
  readonly parent: number;
  readonly words: string;
  /** Own time and that of children that have ended. */
  readonly cpuTicks: number;
  readonly rssKib: number;
  /** Pages shared with other processes counted by their share. */
  readonly pssKib: number;
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

function sampleOf(pid: number): Sample | undefined {
  try {
    const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
    const stat = read('stat');
    // From the third field on; the second, the name, may contain spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {
      pid,
      parent: Number(fields[1]),
      words: read('cmdline').split('\0').join(' ').trim(),
      cpuTicks: fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0),
      rssKib: field(read('status'), 'VmRSS'),
      pssKib: field(read('smaps_rollup'), 'Pss'),
    };
  } catch {
    return undefined;
  }
}

/** What a process is to the table; undefined for what is not ours, or the sandbox's. */
function kindOf({ words, parent }: Sample, all: readonly Sample[]): string | undefined {
  if (words.includes('dist/engine.mjs')) return 'engine';
  if (words.includes('dist/routeagent.mjs')) return 'routeagent';
  if (words.includes('charon-systemd')) return 'charon';
  if (words.startsWith('wireguard-go')) return 'wireguard-go';
  const above = all.find(({ pid }) => pid === parent);
  const owner = above === undefined ? undefined : kindOf(above, all);
  return owner === 'engine' || owner === 'routeagent' ? `${owner}'s ping, ip monitor and nft monitor` : undefined;
}

async function look({ plan }: BenchSandbox): Promise<ReadonlyMap<number, Sample>> {
  const nodes = plan.clusters.flatMap((cluster) => cluster.nodes);
  const lists = await Promise.all(nodes.map(({ namespace }) => run(['ip', 'netns', 'pids', namespace])));
  const pids = lists.join('\n').split(/\s+/).filter(Boolean).map(Number);
  const samples = pids.map(sampleOf).filter((sample) => sample !== undefined);
  return new Map(samples.map((sample) => [sample.pid, sample]));
}

interface Usage {
  readonly rssMib: number;
  readonly pssMib: number;
  readonly cpuPercent: number;
}

async function watch(sandbox: BenchSandbox, signal: AbortSignal): Promise<ReadonlyMap<string, readonly Usage[]>> {
  const ticksPerSecond = Number(await run(['getconf', 'CLK_TCK']));
  await pause(SETTLE_MS, signal);
  const [before, startMs] = [await look(sandbox), performance.now()];
  await pause(WATCH_MS, signal);
  const [after, endMs] = [await look(sandbox), performance.now()];
  const usages = new Map<string, Usage[]>();
  const all = [...after.values()];
  for (const sample of all) {
    const kind = kindOf(sample, all);
    const earlier = before.get(sample.pid);
    if (kind === undefined || earlier === undefined) continue;
    const cpuSeconds = (sample.cpuTicks - earlier.cpuTicks) / ticksPerSecond;
    const usage = {
      rssMib: sample.rssKib / MIB,
      pssMib: sample.pssKib / MIB,
      cpuPercent: (cpuSeconds * 100_000) / (endMs - startMs),
    };
    usages.set(kind, [...(usages.get(kind) ?? []), usage]);
  }
  return usages;
}

function rows(driver: Driver, usages: ReadonlyMap<string, readonly Usage[]>): readonly Measurement[] {
  return [...usages]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([kind, list]): readonly Measurement[] => {
      const daemon = kind === 'engine' || kind === 'routeagent';
      const worst = (of: (usage: Usage) => number): number => Math.max(...list.map(of));
      const middle = (of: (usage: Usage) => number): string => median(list.map(of)).toFixed(2);
      return [
        {
          what: `${driver}: ${kind}: resident memory`,
          value: worst(({ rssMib }) => rssMib),
          unit: 'MiB',
          ...(daemon ? { target: { atMost: 80 } } : {}),
          note: `largest of ${list.length}; median ${middle(({ rssMib }) => rssMib)}, without what is shared ${middle(({ pssMib }) => pssMib)}`,
        },
        {
          what: `${driver}: ${kind}: CPU when idle`,
          value: worst(({ cpuPercent }) => cpuPercent),
          unit: '% of a core',
          ...(daemon ? { target: { atMost: 0.5 } } : {}),
          note: `largest of ${list.length}; median ${middle(({ cpuPercent }) => cpuPercent)}`,
        },
      ];
    });
}

/** Memory and CPU time of the daemons in two joined clusters without traffic but the probes, from /proc. */
export const footprint: Benchmark = {
  name: 'footprint',
  run: async (signal) => {
    const results: Measurement[] = [];
    for (const driver of DRIVERS) {
      const usages = await withSandbox(2, signal, async (sandbox) => {
        await sandbox.joinAll(driver);
        return watch(sandbox, signal);
      });
      results.push(...rows(driver, usages));
    }
    return results;
  },
};
