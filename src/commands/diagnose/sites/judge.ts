import type { KernelReport } from '../../../host/prober/protocol.ts';
import type { Finding } from '../check.ts';
import { lossOf } from '../shots/judge.ts';
import type { DriverName, OnNode, Site, Size, Survey, Way } from './model.ts';

/** What a cable driver takes of every packet for itself; as the drivers set the MTU of their links. */
export const OVERHEAD_BYTES: Readonly<Record<DriverName, number>> = { ipsec: 100, wireguard: 80, vxlan: 50 };

const inCluster =
  (clusterId: string) =>
  ({ cluster }: OnNode): boolean =>
    cluster === clusterId;

/** Findings and what is only worth a warning. */
export interface Judgement {
  readonly failures: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/** Ports of gateways that somebody has. */
export function judgePorts({ taken }: Survey, clusterId: string): readonly Finding[] {
  return taken.filter(inCluster(clusterId)).map(({ node, port, reason }) => ({
    object: `node ${node}`,
    reason,
    hint: `See who has it, on the node: ss -uanp 'sport = :${port}'. Stop that program, or take another port: join --nattport (tunnels), kubectl annotate node ${node} gateway.submariner.io/natt-discovery-port=PORT (NAT discovery).`,
  }));
}

/** Of the addresses of a gateway the one that was reached, else the first. */
function bestWays(ways: readonly Way[]): readonly Way[] {
  const groups = Map.groupBy(ways, ({ shot: { from, to, purpose } }) =>
    [from.cluster, from.node, to.cluster, to.node, purpose].join(' '),
  );
  return [...groups.values()].flatMap((group) => group.find((way) => lossOf(way) === undefined) ?? group.slice(0, 1));
}

function isBack({ shot: way }: Way, { shot }: Way): boolean {
  const { from, to, purpose } = way;
  return (
    purpose === shot.purpose &&
    from.cluster === shot.to.cluster &&
    from.node === shot.to.node &&
    to.cluster === shot.from.cluster &&
    to.node === shot.from.node
  );
}

function explainLoss(back: Way | undefined, loss: string): string {
  if (back === undefined) return loss;
  if (lossOf(back) !== undefined) return `${loss}; the other direction neither`;
  return back.answered
    ? `${loss}, unless they answer: ${back.shot.from.node} gets answers`
    : `${loss}; the other direction is open`;
}

/** Ways that start in a cluster on which nothing arrives, with what is known of the way back. */
export function judgeWays({ ways }: Survey, clusterId: string): Judgement {
  const best = bestWays(ways);
  const failures: Finding[] = [];
  const warnings: Finding[] = [];
  for (const way of best.filter(({ shot }) => shot.from.cluster === clusterId)) {
    const loss = lossOf(way);
    if (loss === undefined) continue;
    const back = best.find((other) => isBack(way, other));
    const { from, to } = way.shot;
    const finding = { object: `${from.node} -> ${to.node}`, reason: explainLoss(back, loss) };
    // One side that is reached and can answer is enough, as behind NAT.
    (way.optional || back?.answered === true ? warnings : failures).push(finding);
  }
  return { failures, warnings };
}

/** What a packet needs that the path does not carry; undefined when all that is needed passes. */
function shortage(
  { from, to, report }: Size,
  podBytes: number | undefined,
  driver: DriverName,
): { readonly isSilent: boolean; readonly finding: Finding } | undefined {
  const { largestBytes = null, triedBytes = 0, blackHole = false } = report ?? {};
  const overhead = OVERHEAD_BYTES[driver];
  const needed = podBytes === undefined ? triedBytes : Math.min(triedBytes, podBytes + overhead);
  if (largestBytes === null || largestBytes >= needed) return undefined;
  const ofPods =
    podBytes === undefined ? '' : `, packets of pods have up to ${podBytes} and ${driver} adds up to ${overhead}`;
  const fate = blackHole ? 'vanish without a word' : 'are cut into fragments, or lost where fragments are dropped';
  return {
    isSilent: blackHole,
    finding: {
      object: `${from.node} -> ${to.node}`,
      reason: `the network between them carries ${largestBytes} bytes, and ${needed} are needed: the link of ${from.node} takes ${triedBytes}${ofPods}; larger tunnel packets ${fate}`,
      hint: `Set the MTU of the link of ${from.node} to ${largestBytes}, on the node: ip link set dev LINK mtu ${largestBytes}; pods then get packets of ${largestBytes - overhead} bytes through. Or mend the network between ${from.node} and ${to.address}.`,
    },
  };
}

/** How packets that are too large fare between the gateways of a cluster and those of others. */
export function judgeSizes({ sizes, podLinks }: Survey, { clusterId, driver }: Site): Judgement {
  const found = sizes
    .filter(({ from }) => from.cluster === clusterId)
    .flatMap((size) => {
      const { cluster, node } = size.from;
      const pods = podLinks.find((link) => link.cluster === cluster && link.node === node)?.mtuBytes;
      return shortage(size, pods, driver) ?? [];
    });
  const told = (isSilent: boolean): readonly Finding[] =>
    found.filter((one) => one.isSilent === isSilent).map(({ finding }) => finding);
  return { failures: told(true), warnings: told(false) };
}

/** `1500 bytes, of which ipsec leaves 1400 to pods`. */
export function describeSizes(sizes: readonly Size[], driver: DriverName): string {
  const known = sizes.flatMap(({ report }) => report?.largestBytes ?? []);
  const smallest = Math.min(...known);
  return `${smallest} bytes, of which ${driver} leaves ${smallest - OVERHEAD_BYTES[driver]} to pods`;
}

/** Where a driver would run on a kernel: `kernel`, `userland`, or why it cannot. */
function placeOf(driver: DriverName, kernel: KernelReport): { readonly place: string; readonly problem: string } {
  const own = { ipsec: kernel.esp, wireguard: kernel.wireguard, vxlan: kernel.vxlan }[driver];
  if (own.offered) return { place: 'kernel', problem: '' };
  if (driver === 'vxlan') return { place: '', problem: `no VXLAN links: ${own.reason}` };
  if (kernel.tun.offered) return { place: 'userland', problem: '' };
  return {
    place: '',
    problem: `neither in the kernel (${own.reason}) nor in userland (/dev/net/tun: ${kernel.tun.reason})`,
  };
}

const ORDER: readonly DriverName[] = ['ipsec', 'wireguard', 'vxlan'];

/** `east-1 (Linux 6.1): ipsec userland, wireguard kernel, vxlan kernel`. */
export function describeKernels({ kernels }: Survey, clusterId: string): string {
  return kernels
    .filter(inCluster(clusterId))
    .flatMap(({ node, report }) => {
      if (report === undefined) return [];
      const places = ORDER.map((driver) => `${driver} ${placeOf(driver, report).place || 'not'}`);
      return [`${node}, Linux ${report.release}: ${places.join(', ')}`];
    })
    .join('; ');
}

function hintForPod(node: string, failure: string): Pick<Finding, 'hint'> {
  if (/Err\w*Image|ImagePull/.test(failure)) {
    return {
      hint: 'Load the images into the nodes, or name the repository: --repository, --version, --image-override, as join has them.',
    };
  }
  return { hint: `Look whether the node starts pods: kubectl describe node ${node}; then once more.` };
}

/** What a kernel lacks without which the driver, or the route agent, cannot work. */
export function judgeKernels({ kernels }: Survey, { clusterId, driver }: Site): readonly Finding[] {
  return kernels.filter(inCluster(clusterId)).flatMap(({ node, report, failure }): readonly Finding[] => {
    const object = `node ${node}`;
    if (report === undefined) return [{ object, reason: failure, ...hintForPod(node, failure) }];
    const { problem } = placeOf(driver, report);
    const others = ORDER.filter((one) => placeOf(one, report).problem === '');
    const lacks = [
      ...(report.vxlan.offered ? [] : [`no VXLAN links, which carry packets between nodes: ${report.vxlan.reason}`]),
      ...(report.nftables.offered ? [] : [`no nftables as the route agent uses it: ${report.nftables.reason}`]),
      ...(problem === '' || driver === 'vxlan' ? [] : [`the driver ${driver} cannot run: ${problem}`]),
    ];
    const hint = hintFor(driver, report, others);
    return lacks.map((reason) => ({ object, reason: `Linux ${report.release}: ${reason}`, hint }));
  });
}

const MODULES: Readonly<Record<DriverName, string>> = {
  ipsec: 'esp4 xfrm_interface',
  wireguard: 'wireguard',
  vxlan: 'vxlan',
};

function hintFor(driver: DriverName, report: KernelReport, others: readonly DriverName[]): string {
  const missing = [
    ...(report.vxlan.offered ? [] : [MODULES.vxlan]),
    ...(report.nftables.offered ? [] : ['nf_tables nft_chain_nat nft_rt']),
    ...(placeOf(driver, report).problem === '' || driver === 'vxlan' ? [] : [`${MODULES[driver]} tun`]),
  ];
  const other =
    others.length === 0 || others.includes(driver) ? '' : ` Or choose --cable-driver ${others.join(' or ')}.`;
  return `Load what the kernel has, on the node: modprobe -a ${missing.join(' ')}; what it lacks, another kernel has.${other}`;
}
