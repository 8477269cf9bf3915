import { randomBytes } from 'node:crypto';
import type { MeetReport } from '../../../host/prober/protocol.ts';
import { ExpectedError } from '../../../runtime/errors.ts';
import type { CommandRun } from '../../context.ts';
import type { Mouth } from '../../testpods/send.ts';
import { orReason, startTold } from '../../testpods/told.ts';
import { rulesAt } from '../shots/plan.ts';
import type { OnNode, Site, SiteNode, Survey, Way } from './model.ts';
import { sendsOf, type PlannedWay } from './plan.ts';

/** How long gateways try to meet. */
const MEETING_MS = 3000;

/** A gateway node with the probe pod on it. */
export interface Place {
  readonly gateway: SiteNode;
  readonly mouth: Mouth;
}

/** Packets by rule. */
type Counts = Readonly<Record<string, number>>;

/** The node of a place. */
export const at = ({ gateway }: Place): OnNode => ({ cluster: gateway.cluster, node: gateway.name });

/** What a gateway saw of a meeting. */
export interface Met {
  readonly place: Place;
  readonly report: MeetReport | string;
  readonly counts: Counts | string;
}

/** Lets all gateways meet, and counts the packets where they leave, arrive and are accepted. */
export async function meetAll(
  run: CommandRun,
  places: readonly Place[],
  ways: readonly PlannedWay[],
  { signal, sites }: { readonly signal: AbortSignal; readonly sites: readonly Site[] },
): Promise<readonly Met[]> {
  let stop = (_line: string): void => undefined;
  const told = { stop: new Promise<string>((resolve) => (stop = resolve)), signal };
  const session = randomBytes(8).toString('hex');
  const isRunning = ({ gateway }: Place): boolean =>
    sites.find(({ clusterId }) => clusterId === gateway.cluster)?.running === true;
  const shots = ways.map(({ shot }) => shot);
  try {
    const counters = places.map((place) => {
      const rules = rulesAt(shots, at(place));
      return rules.length === 0 ? undefined : startTold<Counts>(place.mouth, 'count', { rules }, told);
    });
    await Promise.allSettled(counters.map(async (counter) => counter?.ready));
    const meetings = places.map((place) => {
      const ports = isRunning(place) ? [] : Object.values(place.gateway.ports);
      return startTold<MeetReport>(place.mouth, 'meet', { session, ports, sends: sendsOf(ways, place.gateway) }, told);
    });
    await Promise.allSettled(meetings.map(async ({ ready }) => ready));
    if (ways.length > 0 && places.length > 1) await run.context.clock.sleep(MEETING_MS, signal);
    stop('stop\n');
    return await Promise.all(
      places.map(async (place, index) => ({
        place,
        report: await orReason<MeetReport>(meetings[index]?.result ?? Promise.reject(new ExpectedError('not started'))),
        counts: await orReason<Counts>(counters[index]?.result ?? Promise.resolve({})),
      })),
    );
  } finally {
    stop('stop\n');
  }
}

function metAt(all: readonly Met[], { cluster, node }: OnNode): Met | undefined {
  return all.find(({ place }) => place.gateway.cluster === cluster && place.gateway.name === node);
}

function countOf(met: Met | undefined, id: string): number | null {
  return met === undefined || typeof met.counts === 'string' ? null : (met.counts[id] ?? null);
}

/** Whether a node had the port for itself. */
function hasDoor(met: Met | undefined, port: number): met is Met & { readonly report: MeetReport } {
  return met !== undefined && typeof met.report !== 'string' && !met.report.taken.some((one) => one.port === port);
}

/** What became of a way; undefined when one of its ends did not have the port. */
export function wayOf({ number, shot, local, optional }: PlannedWay, all: readonly Met[]): Way | undefined {
  const from = metAt(all, shot.from);
  const to = metAt(all, shot.to);
  if (!hasDoor(from, local) || !hasDoor(to, shot.port)) return undefined;
  const isHeard = to.report.heard.includes(number);
  const left = countOf(from, `${shot.id}-left`);
  // Datagrams are sent until they are answered, so how many got lost says nothing.
  const common = { shot, optional, left, sent: 0, answered: from.report.answered.includes(number) };
  if (isHeard) return { ...common, arrived: 1, accepted: 1, failure: '' };
  const failure = left === 0 ? undefined : from.report.failures.find(({ way }) => way === number);
  return {
    ...common,
    arrived: countOf(to, `${shot.id}-arrived`) ?? 0,
    accepted: countOf(to, `${shot.id}-accepted`),
    failure: failure?.reason ?? '',
  };
}

/** The ports that a gateway could not have. */
export function takenOf({ place, report }: Met): Survey['taken'] {
  if (typeof report === 'string') return [];
  return report.taken.map(({ port, reason }) => ({ ...at(place), port, reason }));
}
