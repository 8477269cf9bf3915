import { failedIf, ok, skipped, type Check, type CheckContext, type Finding, type Outcome } from './check.ts';
import { describePlace } from './traffic/model.ts';

async function path({ cluster, traffic }: CheckContext): Promise<Outcome> {
  const { crossings } = await traffic();
  const measured = crossings.flatMap(({ from, to, report }) =>
    from.cluster === cluster.clusterId && report?.pathMtu !== undefined ? [{ from, to, ...report.pathMtu }] : [],
  );
  const answered = measured.filter(({ largestBytes }) => largestBytes !== null);
  if (answered.length === 0) return skipped('no gateway of another cluster answers');
  const findings = answered
    .filter(({ blackHole }) => blackHole)
    .map(({ from, to, largestBytes }): Finding => ({
      object: `${describePlace(from)} -> ${describePlace(to)}`,
      reason: `packets of more than ${largestBytes} bytes vanish without a word`,
    }));
  const sizes = [...new Set(answered.map(({ largestBytes }) => largestBytes))].toSorted((a, b) => (a ?? 0) - (b ?? 0));
  return findings.length > 0 ? failedIf(findings) : ok(`${sizes.join(', ')} bytes`);
}

/** Whether large packets get through, or are refused aloud. */
export const MTU_CHECKS: readonly Check[] = [
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
