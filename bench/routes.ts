import { readFileSync } from 'node:fs';
import { createRunner } from '../src/host/command.ts';
import type { KubeObject } from '../src/kube/client.ts';
import { silentLogger } from '../src/runtime/logger.ts';
import { EAST_GATEWAY, endpoint, stage, type Stage } from '../test/routeagent/stage.ts';
import { Namespaces } from '../test/netns/namespaces.ts';
import { inside, run } from './command.ts';
import { type Benchmark, type Measurement, median } from './report.ts';

const CLUSTERS = 500;
const CIDRS_EACH = 4;
const RUNS = 5;
const CHANGES = 10;

/** Cluster n with four /24s of 20.0.0.0/6; `shift` makes its last one another. */
function remote(n: number, shift = 0): KubeObject {
  const subnets = Array.from({ length: CIDRS_EACH }, (_, k) => {
    const number = n * 8 + k + (k === CIDRS_EACH - 1 ? shift : 0);
    return `${20 + Math.floor(number / 65_536)}.${Math.floor(number / 256) % 256}.${number % 256}.0/24`;
  });
  return endpoint(`c${n}`, `c${n}-1`, `198.18.${Math.floor(n / 250)}.${(n % 250) + 1}`, subnets);
}

/** CPU time of this process and of the programs it has run, in milliseconds (the kernel counts in ticks of 10 ms). */
function cpuMs(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]!.split(' ');
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]) * 10, 0);
}

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** The mean of so many runs, each prepared outside of the measured time. */
async function cost(
  times: number,
  run: () => Promise<unknown>,
  prepare: (n: number) => void = () => undefined,
): Promise<Cost> {
  let wall = 0;
  let cpu = 0;
  for (let n = 0; n < times; n += 1) {
    prepare(n);
    const [startMs, startCpuMs] = [performance.now(), cpuMs()];
    await run();
    wall += performance.now() - startMs;
    cpu += cpuMs() - startCpuMs;
  }
  return { wallMs: wall / times, cpuMs: cpu / times };
}

const PARTS = ['first', 'change', 'idle'] as const;
type Costs = Record<(typeof PARTS)[number], Cost>;

/** Programming of the node this process is in from nothing, one changed cluster, and a look that finds nothing to do. */
async function measure(k: number): Promise<Costs> {
  const all = Array.from({ length: CLUSTERS }, (_, n) => remote(n));
  const at: Stage = stage(createRunner({ logger: silentLogger }), k);
  const { signal } = new AbortController();
  const reconcile = (): Promise<unknown> => at.daemon.reconcile(signal);
  at.endpoints.set([EAST_GATEWAY, ...all]);
  const first = await cost(1, reconcile);
  const change = await cost(CHANGES, reconcile, (n) => {
    at.endpoints.set([EAST_GATEWAY, ...all.with(250, remote(250, 1 + (n % 2)))]);
  });
  return { first, change, idle: await cost(CHANGES, reconcile) };
}

/** `measure` in a process inside a new namespace, so that programs are run as the daemon runs them. */
async function measureInside(k: number, signal: AbortSignal): Promise<Costs> {
  const spaces = new Namespaces();
  try {
    spaces.add('n');
    spaces.ip(
      'n',
      `link add eth0 type veth peer name peer0
       addr add 172.31.0.${10 + k}/24 dev eth0
       link set eth0 up
       link set peer0 up
       link add cni0 type bridge
       addr add 10.130.${k}.1/24 dev cni0
       link set cni0 up
       route add default via 172.31.0.1 dev eth0`,
    );
    const self = [process.execPath, import.meta.filename, String(k)];
    return JSON.parse(await run(inside(spaces.name('n'), ...self), { signal })) as Costs;
  } finally {
    spaces.remove();
  }
}

const TARGETS: Partial<Record<keyof Costs, number>> = { first: 2000, change: 100 };
const NAMES: Record<keyof Costs, string> = {
  first: 'first programming',
  change: 'one changed cluster',
  idle: 'nothing to do',
};

function rows(role: string, samples: readonly Costs[]): readonly Measurement[] {
  return PARTS.map((part) => {
    const atMost = TARGETS[part];
    const cpu = median(samples.map((sample) => sample[part].cpuMs));
    return {
      what: `${role}, ${CLUSTERS} clusters x ${CIDRS_EACH} CIDRs: ${NAMES[part]}`,
      value: median(samples.map((sample) => sample[part].wallMs)),
      unit: 'ms',
      note: `median of ${RUNS}; CPU of all processes ${cpu.toFixed(0)} ms`,
      ...(atMost === undefined ? {} : { target: { atMost } }),
    };
  });
}

/** The route agent with 500 remote clusters of four CIDRs each, on the kernel of this machine. */
export const routes: Benchmark = {
  name: 'routes',
  run: async (signal) => {
    const results: Measurement[] = [];
    for (const [role, k] of [
      ['worker', 2],
      ['gateway', 1],
    ] as const) {
      const samples: Costs[] = [];
      for (let turn = 0; turn < RUNS; turn += 1) samples.push(await measureInside(k, signal));
      results.push(...rows(role, samples));
    }
    return results;
  },
};

if (import.meta.main) process.stdout.write(JSON.stringify(await measure(Number(process.argv[2]))));
