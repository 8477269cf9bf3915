import type { KubeObject } from '../src/kube/client.ts';
import { EAST_GATEWAY, endpoint, stage, type Stage } from '../test/routeagent/stage.ts';
import { Namespaces } from '../test/netns/namespaces.ts';
import { type Benchmark, type Measurement, median } from './report.ts';

const CLUSTERS = 500;
const CIDRS_EACH = 4;
const RUNS = 5;
const SIGNAL = new AbortController().signal;

/** Cluster n with four /24s of 20.0.0.0/6; `shift` makes its last one another. */
function remote(n: number, shift = 0): KubeObject {
  const subnets = Array.from({ length: CIDRS_EACH }, (_, k) => {
    const number = n * 8 + k + (k === CIDRS_EACH - 1 ? shift : 0);
    return `${20 + Math.floor(number / 65_536)}.${Math.floor(number / 256) % 256}.${number % 256}.0/24`;
  });
  return endpoint(`c${n}`, `c${n}-1`, `198.18.${Math.floor(n / 250)}.${(n % 250) + 1}`, subnets);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

/** Programming of a node from nothing, one changed cluster, and a look that finds nothing to do. */
async function measure(
  spaces: Namespaces,
  short: string,
  k: number,
): Promise<Record<'first' | 'change' | 'idle', number>> {
  spaces.add(short);
  spaces.ip(
    short,
    `link add eth0 type veth peer name peer0
     addr add 172.31.0.${10 + k}/24 dev eth0
     link set eth0 up
     link set peer0 up
     link add cni0 type bridge
     addr add 10.130.${k}.1/24 dev cni0
     link set cni0 up
     route add default via 172.31.0.1 dev eth0`,
  );
  const all = Array.from({ length: CLUSTERS }, (_, n) => remote(n));
  const at: Stage = stage(spaces.runner(short), k);
  at.endpoints.set([EAST_GATEWAY, ...all]);
  const first = await timed(() => at.daemon.reconcile(SIGNAL));
  at.endpoints.set([EAST_GATEWAY, ...all.with(250, remote(250, 1))]);
  const change = await timed(() => at.daemon.reconcile(SIGNAL));
  const idle = await timed(() => at.daemon.reconcile(SIGNAL));
  return { first, change, idle };
}

/** The route agent with 500 remote clusters of four CIDRs each, on the kernel of this machine. */
export const routes: Benchmark = {
  name: 'routes',
  run: async () => {
    const results: Measurement[] = [];
    for (const [role, k] of [
      ['worker', 2],
      ['gateway', 1],
    ] as const) {
      const samples: Record<'first' | 'change' | 'idle', number>[] = [];
      for (let run = 0; run < RUNS; run += 1) {
        const spaces = new Namespaces();
        try {
          samples.push(await measure(spaces, 'n', k));
        } finally {
          spaces.remove();
        }
      }
      const row = (what: string, part: 'first' | 'change' | 'idle', atMost?: number): Measurement => ({
        what: `${role}, ${CLUSTERS} clusters x ${CIDRS_EACH} CIDRs: ${what}`,
        value: median(samples.map((sample) => sample[part])),
        unit: 'ms',
        note: `median of ${RUNS}`,
        ...(atMost === undefined ? {} : { target: { atMost } }),
      });
      results.push(
        row('first programming', 'first', 2000),
        row('one changed cluster', 'change', 100),
        row('nothing to do', 'idle'),
      );
    }
    return results;
  },
};
