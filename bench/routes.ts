import { readFileSync } from 'node:fs';
import { createRunner } from '../src/host/command.ts';
import { watchNetwork } from '../src/host/monitor.ts';
import { RecentLooks, WITH_LINKS } from '../src/host/recent.ts';
import type { KubeObject } from '../src/kube/client.ts';
import { OBSERVED_MS } from '../src/routeagent/routeagent.ts';
import { RELEVANT } from '../src/routeagent/relevant.ts';
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
  prepare: (n: number) => Promise<void> | void = () => undefined,
): Promise<Cost> {
  let wall = 0;
  let cpu = 0;
  for (let n = 0; n < times; n += 1) {
    await prepare(n);
    const [startMs, startCpuMs] = [performance.now(), cpuMs()];
    await run();
    wall += performance.now() - startMs;
    cpu += cpuMs() - startCpuMs;
  }
  return { wallMs: wall / times, cpuMs: cpu / times };
}

const PARTS = ['first', 'change', 'reported', 'anew', 'idle'] as const;
type Costs = Record<(typeof PARTS)[number], Cost>;

/** A route agent as the daemon wires it: the kernel is watched, and looks at it serve as long as nothing is reported. */
class Watched {
  readonly recent = new RecentLooks({ maxAgeMs: OBSERVED_MS });
  readonly at: Stage;
  readonly #stop = new AbortController();
  readonly #watching: Promise<void>;
  #reports = 0;

  constructor(k: number) {
    const { recent } = this;
    this.at = stage(createRunner({ logger: silentLogger, recent }), k);
    const report = (): void => void (this.#reports += 1);
    this.#watching = watchNetwork({ logger: silentLogger, recent }, RELEVANT, report, this.#stop.signal);
  }

  async reconcile(): Promise<void> {
    await this.at.daemon.reconcile(this.#stop.signal);
  }

  /** Waits until the kernel has reported what was done, and has been looked at since, as the daemon does after each change. */
  async settle(): Promise<void> {
    for (let before = -1; before !== this.#reports;) {
      before = this.#reports;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await this.reconcile();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }
}

/**
 * Programming of the node this process is in from nothing; one changed cluster, with the kernel as the daemon saw it last,
 * after a report about a link, and with a look at everything; and a look that finds nothing to do.
 */
async function measure(k: number): Promise<Costs> {
  const all = Array.from({ length: CLUSTERS }, (_, n) => remote(n));
  const node = new Watched(k);
  const reconcile = (): Promise<void> => node.reconcile();
  const change = async (n: number): Promise<void> => {
    await node.settle();
    node.at.endpoints.set([EAST_GATEWAY, ...all.with(250, remote(250, 1 + (n % 2)))]);
  };
  try {
    node.at.endpoints.set([EAST_GATEWAY, ...all]);
    return {
      first: await cost(1, reconcile),
      change: await cost(CHANGES, reconcile, change),
      reported: await cost(CHANGES, reconcile, async (n) => {
        await change(n);
        node.recent.forget(WITH_LINKS);
      }),
      anew: await cost(CHANGES, reconcile, async (n) => {
        await change(n);
        node.recent.forget();
      }),
      idle: await cost(CHANGES, reconcile, () => node.recent.forget()),
    };
  } finally {
    await node.end();
  }
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

const TARGETS: Partial<Record<keyof Costs, number>> = { first: 2000, change: 100, reported: 100, anew: 100 };
const NAMES: Record<keyof Costs, string> = {
  first: 'first programming',
  change: 'one changed cluster',
  reported: 'one changed cluster, after a pod came or went on the node',
  anew: 'one changed cluster, all of the kernel looked at anew',
  idle: 'a look that finds nothing to do',
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
