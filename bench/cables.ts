import { spawn } from 'node:child_process';
import { joinByHand, type Mtus } from './byhand.ts';
import { inside, run } from './command.ts';
import { type Benchmark, type Measurement, median } from './report.ts';
import { type BenchSandbox, type Driver, DRIVERS, podNamespaces, withSandbox } from './sandbox.ts';

/** Each set is three new sandboxes: two equal ones differ by several per cent for as long as they live. */
const SETS = 5;
const ROUNDS = 5;
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

/** What one round gave; `again` is a second tunnel set up by hand, which shows how far two equal ones lie apart. */
interface Round {
  readonly subctl: Sample;
  readonly hand: Sample;
  readonly again: Sample;
}

const NAMES = ['subctl', 'hand', 'again'] as const;

/** Each round takes all three, each in turns first, so that other load of the machine meets all alike. */
async function compare(paths: Readonly<Record<keyof Round, Path>>, signal: AbortSignal): Promise<readonly Round[]> {
  for (const name of NAMES) await sample(paths[name], signal);
  const rounds: Round[] = [];
  for (let number = 0; number < ROUNDS; number += 1) {
    const first = number % NAMES.length;
    const samples = new Map<keyof Round, Sample>();
    for (const name of [...NAMES.slice(first), ...NAMES.slice(0, first)]) {
      samples.set(name, await sample(paths[name], signal));
    }
    const of = (name: keyof Round): Sample => samples.get(name)!;
    rounds.push({ subctl: of('subctl'), hand: of('hand'), again: of('again') });
  }
  return rounds;
}

/** One set of sandboxes: its rounds. */
async function measureSet(driver: Driver, signal: AbortSignal): Promise<readonly Round[]> {
  return withSandbox(2, signal, (joined) =>
    withSandbox(2, signal, (hand) =>
      withSandbox(2, signal, async (again) => {
        await joined.joinAll(driver);
        const how = { driver, mtus: await mtusOf(joined, driver) };
        const tunnels: { readonly end: () => Promise<void> }[] = [];
        try {
          for (const bare of [hand, again]) tunnels.push(await joinByHand(bare, how, signal));
          const [a, b, c] = await Promise.all([joined, hand, again].map(pathOf));
          return await compare({ subctl: a!, hand: b!, again: c! }, signal);
        } finally {
          for (const { end } of tunnels) await end();
        }
      }),
    ),
  );
}

async function measure(driver: Driver, signal: AbortSignal): Promise<readonly (readonly Round[])[]> {
  const sets: (readonly Round[])[] = [];
  while (sets.length < SETS) sets.push(await measureSet(driver, signal));
  return sets;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round((sorted.length - 1) * share)]!;
}

interface Figure {
  readonly value: (sample: Sample) => number;
  readonly unit: string;
  readonly better: 'more' | 'less';
}

function row(what: string, sets: readonly (readonly Round[])[], { value, unit, better }: Figure): Measurement {
  /** Of one path to another in one round, more is better. */
  const ratio = (one: Sample, other: Sample): number => (value(one) / value(other)) ** (better === 'more' ? 1 : -1);
  // Of both by hand the (geometric) mean, so that neither decides alone.
  const own = ({ subctl, hand, again }: Round): number => Math.sqrt(ratio(subctl, hand) * ratio(subctl, again));
  const equal = ({ hand, again }: Round): number => ratio(again, hand);
  const rounds = sets.flat();
  const spread = (of: (round: Round) => number): string => {
    const ratios = rounds.map(of);
    return `the middle half ${quantile(ratios, 0.25).toFixed(2)} to ${quantile(ratios, 0.75).toFixed(2)}`;
  };
  const perSet = (of: (round: Round) => number): string =>
    sets
      .map((set) => median(set.map(of)).toFixed(2))
      .sort()
      .join(', ');
  const middle = {
    own: median(rounds.map(({ subctl }) => value(subctl))),
    byHand: median(rounds.flatMap(({ hand, again }) => [value(hand), value(again)])),
  };
  return {
    what,
    value: median(rounds.map(own)),
    unit: 'of by hand',
    target: { atLeast: 0.97 },
    note:
      `${middle.own.toPrecision(3)} against ${middle.byHand.toPrecision(3)} ${unit}; ${rounds.length} rounds, ${spread(own)}, ` +
      `the sets ${perSet(own)}; two by hand, of each other: ${median(rounds.map(equal)).toPrecision(3)}, ${spread(equal)}, ` +
      `the sets ${perSet(equal)}`,
  };
}

/** Throughput and latency from pod to pod through each driver, as ratios to the same tunnel set up by hand, twice. */
export const cables: Benchmark = {
  name: 'cables',
  run: async (signal) => {
    const results: Measurement[] = [];
    for (const driver of DRIVERS) {
      const sets = await measure(driver, signal);
      results.push(
        row(`${driver}: throughput, one TCP stream`, sets, {
          value: ({ mbitPerSecond }) => mbitPerSecond,
          unit: 'Mbit/s',
          better: 'more',
        }),
        row(`${driver}: latency (inverse)`, sets, { value: ({ rttMs }) => rttMs, unit: 'ms', better: 'less' }),
      );
    }
    return results;
  },
};
