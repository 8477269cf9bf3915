import type { Stall, TrafficReport } from '../../src/sandbox/traffic/report.ts';
import { pause } from './command.ts';
import type { Flow } from './flow.ts';
import { stageOf, type Limits, type Scenario } from './scenarios.ts';
import type { FaultWorld, Leaders } from './world.ts';

/** What one stream and one connection saw in a span of time. */
export interface Seen {
  readonly lost: number;
  /** The longest gap, without what the sender stood still in it. */
  readonly gapMs: number;
  /** The longest gap as it was, with what the machine did to it. */
  readonly rawGapMs: number;
  readonly stallMs: number;
  readonly resets: readonly string[];
}

/** What became of the traffic between two pods. */
export interface FlowOutcome {
  readonly name: string;
  readonly hit: boolean;
  /** Until it was mended, and from then on. */
  readonly broken: Seen;
  readonly mended: Seen;
  readonly report: TrafficReport;
}

/** What a failure did. */
export interface Outcome {
  readonly scenario: string;
  readonly before: Leaders;
  readonly after: Leaders;
  readonly end: Leaders;
  /** From the break until everything was seen to send to one gateway again; nobody looks in the first 1.5 s. */
  readonly convergedMs: number;
  readonly flows: readonly FlowOutcome[];
  /** The longest time a sender stood still: what the machine did, not the network. */
  readonly senderStallMs: number;
}

const BASELINE_MS = 1000;
const AFTER_MS = 1500;
/** So long nobody looks: two dozen programs that ask kernels take the processor from those that are to repair things. */
const UNDISTURBED_MS = 1500;

function spanOf(report: TrafficReport, fromMs: number, untilMs: number): Seen {
  const within = ({ at }: { readonly at: number }): boolean => at >= fromMs && at < untilMs;
  const gaps = report.udp.gaps.filter(within);
  const longest = (values: readonly number[]): number => Math.round(Math.max(0, ...values));
  const net = ({ ms, stalledMs }: Stall & { readonly stalledMs: number }): number => ms - stalledMs;
  return {
    lost: gaps.reduce((sum, { packets }) => sum + packets, 0),
    gapMs: longest(gaps.map(net)),
    rawGapMs: longest(gaps.map(({ ms }) => ms)),
    stallMs: longest(report.tcp.stalls.filter(within).map(net)),
    resets: report.tcp.resets.filter(within).map(({ why }) => why),
  };
}

async function ready(flows: readonly Flow[]): Promise<void> {
  const late = pause(20_000).then(() => {
    throw new Error('traffic does not flow before anything is broken');
  });
  await Promise.race([Promise.all(flows.map((flow) => flow.ready)), late]);
}

function startFlows(world: FaultWorld, standby: string, scenario: Scenario): readonly Flow[] {
  const clusters = world.plan.clusters.map(({ name }) => name);
  const third = clusters[2];
  return [
    world.flow(world.worker('east'), world.worker('west')),
    ...(third === undefined ? [] : [world.flow(world.worker(third), world.worker('east'))]),
    ...(scenario.fromStandby === true ? [world.flow(standby, world.worker('west'))] : []),
  ];
}

async function breakAndMend(
  world: FaultWorld,
  scenario: Scenario,
  before: Leaders,
  flows: readonly Flow[],
  lastsMs: number | undefined,
): Promise<Pick<Outcome, 'after' | 'end' | 'convergedMs'> & { readonly mendedAt: number }> {
  const stage = stageOf(world, before);
  const startedMs = performance.now();
  const without = await scenario.breaks(stage);
  const holds = ({ east }: Leaders): boolean => scenario.moves !== 'yes' || east !== before['east'];
  const watched = flows.filter((flow) => scenario.lastsMs === undefined || scenario.hits?.(flow) !== true);
  await pause(lastsMs ?? UNDISTURBED_MS);
  const after = await world.converged(watched, { without, holds });
  const convergedMs = Math.round(performance.now() - startedMs);
  await pause(AFTER_MS);
  const mendingAt = Date.now();
  await scenario.mends(stage);
  const mendedAt = scenario.hitsToTheEnd === true ? Date.now() : mendingAt;
  await world.settle();
  world.mended();
  const end = await world.converged(flows);
  await pause(AFTER_MS);
  return { after, end, convergedMs, mendedAt };
}

/**
 * Lets one thing go wrong while traffic flows, mends it, and tells what the traffic saw. Begins and ends with everything
 * well; rejects when that is not reached in time.
 */
export async function perform(
  world: FaultWorld,
  scenario: Scenario,
  options: { readonly lastsMs?: number } = {},
): Promise<Outcome> {
  const before = await world.settle();
  const flows = startFlows(world, stageOf(world, before).standby, scenario);
  try {
    await ready(flows);
    await pause(BASELINE_MS);
    const done = await breakAndMend(world, scenario, before, flows, options.lastsMs ?? scenario.lastsMs);
    const outcomes = await Promise.all(
      flows.map(async (flow): Promise<FlowOutcome> => {
        const report = await flow.stop();
        return {
          name: flow.name,
          hit: scenario.hits?.(flow) ?? true,
          broken: spanOf(report, 0, done.mendedAt),
          mended: spanOf(report, done.mendedAt, Number.POSITIVE_INFINITY),
          report,
        };
      }),
    );
    const senderStallMs = Math.max(...outcomes.map(({ report }) => report.sender.longestStallMs));
    const { after, end, convergedMs } = done;
    return { scenario: scenario.name, before, after, end, convergedMs, flows: outcomes, senderStallMs };
  } finally {
    for (const flow of flows) flow.kill();
  }
}

function excess(what: string, seen: Seen, limits: Limits): readonly string[] {
  const { lost = Number.POSITIVE_INFINITY, gapMs, resets } = limits;
  return [
    ...(seen.lost > lost ? [`${what}: ${seen.lost} packets lost, ${lost} allowed`] : []),
    ...(seen.gapMs > gapMs ? [`${what}: nothing for ${seen.gapMs} ms, ${gapMs} ms allowed`] : []),
    ...(seen.resets.length > resets ? [`${what}: TCP connection ended: ${seen.resets.join(', ')}`] : []),
  ];
}

/** What an outcome had to be and was not; [] when all was as it should be. */
export function violations(
  { before, after, flows }: Outcome,
  { moves, afterwards }: Scenario,
  limits: Limits,
): readonly string[] {
  const moved = before['east'] !== after['east'];
  const others = Object.keys(before).filter((cluster) => cluster !== 'east' && before[cluster] !== after[cluster]);
  return [
    ...(moves === 'yes' && !moved ? ['the gateway of east did not move'] : []),
    ...(moves === 'no' && moved ? [`the gateway of east moved to ${after['east']}`] : []),
    ...others.map((cluster) => `the gateway of ${cluster} moved to ${after[cluster]}`),
    ...flows.flatMap(({ name, hit, broken, mended }) => [
      ...excess(name, broken, hit ? limits : { lost: 0, gapMs: 0, resets: 0 }),
      ...excess(`${name}, after it was mended`, mended, afterwards),
    ]),
  ];
}

/** One line for people: what each flow saw. */
export function describeOutcome({ scenario, before, after, flows, convergedMs, senderStallMs }: Outcome): string {
  const told = flows.map(
    ({ name, broken, mended, report }) =>
      `${name}: ${broken.lost} of ${report.udp.sent} lost, gap ${broken.rawGapMs} ms, TCP stalled ${broken.stallMs} ms, ${broken.resets.length} resets; then ${mended.lost} lost, gap ${mended.rawGapMs} ms`,
  );
  const who = `${before['east']} -> ${after['east']} in ${(convergedMs / 1000).toFixed(1)} s`;
  return `${scenario} (${who}; sender stood still ${Math.round(senderStallMs)} ms at most)\n  ${told.join('\n  ')}`;
}
