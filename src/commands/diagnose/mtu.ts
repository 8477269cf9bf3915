import {
  failedIf,
  ok,
  skipped,
  warningIf,
  type Check,
  type CheckContext,
  type Finding,
  type Outcome,
} from './check.ts';
import { judgeCrossings, streams } from './traffic/judge.ts';
import { describePlace, type Crossing, type Traffic } from './traffic/model.ts';

type Measured = Pick<Crossing, 'from' | 'to'> & NonNullable<NonNullable<Crossing['report']>['pathMtu']>;

/** Measurements that were answered, of packets that left the cluster for one kind of place. */
function measured({ crossings }: Traffic, cluster: string, kind: 'gateway' | 'underlay'): readonly Measured[] {
  return crossings
    .flatMap(({ from, to, report }) =>
      from.cluster === cluster && to.kind === kind && report?.pathMtu !== undefined
        ? [{ from, to, ...report.pathMtu }]
        : [],
    )
    .filter(({ largestBytes }) => largestBytes !== null);
}

function sizes(all: readonly Measured[]): string {
  const bytes = [...new Set(all.map(({ largestBytes }) => largestBytes ?? 0))].toSorted((a, b) => a - b);
  return `${bytes.join(', ')} bytes`;
}

function holes(all: readonly Measured[]): readonly Finding[] {
  return all
    .filter(({ blackHole }) => blackHole)
    .map(({ from, to, largestBytes }) => ({
      object: `${describePlace(from)} -> ${describePlace(to)}`,
      reason: `packets of more than ${largestBytes} bytes vanish without a word`,
    }));
}

async function path({ cluster, traffic }: CheckContext): Promise<Outcome> {
  const all = measured(await traffic(), cluster.clusterId, 'gateway');
  if (all.length === 0) return skipped('no gateway of another cluster answers');
  return failedIf(holes(all), sizes(all));
}

/** The path of the tunnel packets themselves: smaller than the links say means fragments, or loss. */
async function wan({ cluster, traffic }: CheckContext): Promise<Outcome> {
  const sent = await traffic();
  const all = measured(sent, cluster.clusterId, 'underlay');
  if (all.length === 0)
    return skipped('the gateways of the other clusters do not answer echo requests outside of the tunnel');
  const small = all.filter(({ largestBytes, triedBytes }) => (largestBytes ?? 0) < triedBytes);
  if (small.length === 0) return ok(sizes(all));
  const findings = small.map(({ from, to, largestBytes, triedBytes, blackHole }): Finding => ({
    object: `${describePlace(from)} -> ${describePlace(to)}`,
    reason: `the network between them carries ${largestBytes} bytes, the link of the gateway ${triedBytes}: larger tunnel packets ${
      blackHole ? 'vanish without a word' : 'are cut into fragments, or lost where fragments are dropped'
    }`,
  }));
  const own = sent.crossings.filter(({ from, to }) => from.cluster === cluster.clusterId && to.kind !== 'underlay');
  const isHarmful =
    holes(measured(sent, cluster.clusterId, 'gateway')).length > 0 || judgeCrossings(own, streams).length > 0;
  return isHarmful ? failedIf(findings) : warningIf(findings);
}

/** Whether large packets get through, or are refused aloud. */
export const MTU_CHECKS: readonly Check[] = [
  {
    category: 'mtu',
    name: 'wan',
    title: 'The network between the gateways carries what their links say',
    hint:
      'Set the MTU of the link of each gateway node to what the network carries: the tunnels then take less. ' +
      'Where that cannot be, clamp TCP: kubectl annotate nodes --all submariner.io/tcp-clamp-mss=1200.',
    joinedOnly: true,
    run: wan,
  },
  {
    category: 'mtu',
    name: 'path',
    title: 'Packets too large for the way to another cluster are refused aloud',
    hint:
      'A link on the way carries less than it says. Lower the MTU of the links of the gateway nodes, or clamp TCP: ' +
      'kubectl annotate nodes --all submariner.io/tcp-clamp-mss=1200.',
    joinedOnly: true,
    run: path,
  },
];
