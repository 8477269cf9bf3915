import { spawn } from 'node:child_process';
import { joinByHand, type Mtus } from './byhand.ts';
import { inside, run } from './command.ts';
import { type Benchmark, type Measurement, median } from './report.ts';
import { type BenchSandbox, type Driver, DRIVERS, podNamespaces, withSandbox } from './sandbox.ts';

const ROUNDS = 15;
const STREAM_SECONDS = 2;
const PINGS = 100;
const LINKS: Readonly<Record<Driver, string>> = { ipsec: 'ipsec0', wireguard: 'submariner', vxlan: 'vxlan-tunnel' };

/** From a pod on the second node of east to one on the second node of west. */
interface Path {
  readonly from: string;
  readonly to: string;
  readonly address: string;
}

/** What one look at a path gave. */
interface Sample {
  readonly mbitPerSecond: number;
  readonly rttMs: number;
}

async function pathOf({ plan }: BenchSandbox): Promise<Path> {
  const [from = '', to = ''] = await Promise.all(
    ['east-2', 'west-2'].map(async (node) => (await podNamespaces(plan, node))[0] ?? ''),
  );
  const shown = await run(['ip', '-n', to, '-4', '-o', 'addr', 'show', 'dev', 'eth0']);
  const address = /inet ([\d.]+)/.exec(shown)?.[1];
  if (address === undefined) throw new Error(`the pod of ${to} has no address`);
  return { from, to, address };
}

async function mtu(namespace: string, link: string): Promise<number> {
  const shown = await run(['ip', '-n', namespace, '-o', 'link', 'show', link]);
  return Number(/ mtu (\d+)/.exec(shown)?.[1]);
}

/** The packet sizes subctl has chosen; rejects when the tunnel is not one that can be compared here. */
async function mtusOf({ plan }: BenchSandbox, driver: Driver): Promise<Mtus> {
  const [gateway, worker] = plan.clusters[0]!.nodes;
  try {
    return {
      overlay: await mtu(worker!.namespace, 'vx-submariner'),
      cable: await mtu(gateway!.namespace, LINKS[driver]),
    };
  } catch (error) {
    throw new Error(
      `${driver}: cannot find ${LINKS[driver]}; a kernel with ESP of its own is not compared by this benchmark`,
      { cause: error },
    );
  }
}

async function throughput({ from, to, address }: Path, signal: AbortSignal): Promise<number> {
  const [file = '', ...args] = inside(to, 'iperf3', '-s', '-1', '-B', address, '--forceflush');
  const server = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => server.once('close', resolve));
  try {
    await new Promise<void>((resolve, reject) => {
      server.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes('Server listening')) resolve();
      });
      server.once('close', () => reject(new Error('iperf3 -s has ended')));
    });
    const report = await run(inside(from, 'iperf3', '-c', address, '-t', String(STREAM_SECONDS), '-J'), { signal });
    const { end } = JSON.parse(report) as { readonly end: { readonly sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second / 1e6;
  } finally {
    server.kill();
    await ended;
  }
}

async function latency({ from, address }: Path, signal: AbortSignal): Promise<number> {
  const printed = await run(inside(from, 'ping', '-n', '-c', String(PINGS), '-i', '0.005', '-W', '2', address), {
    signal,
  });
  const times = [...printed.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  if (times.length < PINGS / 2) throw new Error(`only ${times.length} of ${PINGS} pings were answered`);
  return median(times);
}

async function sample(path: Path, signal: AbortSignal): Promise<Sample> {
  const rttMs = await latency(path, signal);
  return { rttMs, mbitPerSecond: await throughput(path, signal) };
}

interface Pair {
  readonly subctl: Sample;
  readonly hand: Sample;
}

/** Each round takes both, in turns first, so that other load of the machine meets both alike. */
async function compare(subctl: Path, hand: Path, signal: AbortSignal): Promise<readonly Pair[]> {
  for (const path of [subctl, hand]) await sample(path, signal);
  const pairs: Pair[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    if (round % 2 === 0) {
      const first = await sample(subctl, signal);
      pairs.push({ subctl: first, hand: await sample(hand, signal) });
    } else {
      const first = await sample(hand, signal);
      pairs.push({ hand: first, subctl: await sample(subctl, signal) });
    }
  }
  return pairs;
}

async function measure(driver: Driver, signal: AbortSignal): Promise<readonly Pair[]> {
  return withSandbox(2, signal, (joined) =>
    withSandbox(2, signal, async (bare) => {
      await joined.joinAll(driver);
      const tunnel = await joinByHand(bare, { driver, mtus: await mtusOf(joined, driver) }, signal);
      try {
        return await compare(await pathOf(joined), await pathOf(bare), signal);
      } finally {
        await tunnel.end();
      }
    }),
  );
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * share)]!;
}

function row(
  what: string,
  pairs: readonly Pair[],
  how: { readonly value: (sample: Sample) => number; readonly unit: string; readonly better: 'more' | 'less' },
): Measurement {
  const ratios = pairs.map(({ subctl, hand }) => {
    const ratio = how.value(subctl) / how.value(hand);
    return how.better === 'more' ? ratio : 1 / ratio;
  });
  const [own, other] = (['subctl', 'hand'] as const).map((name) => median(pairs.map((pair) => how.value(pair[name]))));
  const middle = `${quantile(ratios, 0.25).toFixed(2)} to ${quantile(ratios, 0.75).toFixed(2)}`;
  return {
    what,
    value: median(ratios),
    unit: 'of by hand',
    target: { atLeast: 0.97 },
    note: `${own!.toPrecision(3)} against ${other!.toPrecision(3)} ${how.unit}; ${pairs.length} pairs, the middle half ${middle}`,
  };
}

/** Throughput and latency from pod to pod through each driver, as ratios to the same tunnel set up by hand. */
export const cables: Benchmark = {
  name: 'cables',
  run: async (signal) => {
    const results: Measurement[] = [];
    for (const driver of DRIVERS) {
      const pairs = await measure(driver, signal);
      results.push(
        row(`${driver}: throughput, one TCP stream`, pairs, {
          value: ({ mbitPerSecond }) => mbitPerSecond,
          unit: 'Mbit/s',
          better: 'more',
        }),
        row(`${driver}: latency (inverse)`, pairs, { value: ({ rttMs }) => rttMs, unit: 'ms', better: 'less' }),
      );
    }
    return results;
  },
};
