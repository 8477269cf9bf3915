import { cidrContains, firstAddress } from '../../net/cidr.ts';
import { OVERLAY } from '../../net/ownership.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { describeRoute, routeFinding } from '../explain/hops/route.ts';
import { natFinding } from '../explain/hops/nat.ts';
import { gatewayNode, type Leg } from '../explain/leg.ts';
import type { Answer, ClusterEvidence, End, Finding as HopFinding } from '../explain/model.ts';
import type { RouteAgentDaemonState } from '../../api/daemonstate.ts';
import { failedIf, warningIf, type Check, type CheckContext, type Finding, type Outcome } from './check.ts';
import { isReadyNode, type DiagnosedCluster } from './cluster.ts';

async function answerOf({ facts }: DiagnosedCluster, node: string): Promise<Answer<RouteAgentDaemonState>> {
  try {
    return { state: await facts.routeAgent(node) };
  } catch (error) {
    if (error instanceof ExpectedError) return { problem: error.message };
    throw error;
  }
}

/** What the route agents of all ready nodes tell, in the form in which explain reads it. */
async function readEvidence(cluster: DiagnosedCluster): Promise<ClusterEvidence> {
  const { clusterId, name, facts } = cluster;
  const [nodes, endpoints, gateways] = await Promise.all([facts.nodes(), facts.endpoints(), facts.gateways()]);
  const ready = nodes.filter(isReadyNode);
  const answers = await Promise.all(
    ready.map(async ({ metadata }) => [metadata.name ?? '', await answerOf(cluster, metadata.name ?? '')] as const),
  );
  const told = answers.flatMap(([node, { state }]) =>
    state === undefined ? [] : [[node, { node: state.observed.node, own: state.observed.network }] as const],
  );
  return {
    clusterId,
    context: name,
    podCidrs: [],
    serviceCidrs: [],
    nodes: ready,
    pods: [],
    services: [],
    slices: [],
    endpoints,
    gateways,
    engines: new Map(),
    routeAgents: new Map(answers),
    networks: new Map(told),
    echoes: [],
  };
}

async function agents({ cluster }: CheckContext): Promise<Outcome> {
  const { routeAgents } = await readEvidence(cluster);
  const findings = [...routeAgents].flatMap(([node, { state, problem }]): readonly Finding[] => {
    const object = `node ${node}`;
    if (state === undefined) return [{ object, reason: problem ?? 'its route agent does not answer' }];
    return [
      ...state.unready.map((reason) => ({ object, reason })),
      ...(state.pending ?? []).map((step) => ({ object, reason: `is still to be done: ${step}` })),
    ];
  });
  return failedIf(findings, `${routeAgents.size} nodes`);
}

/** The way from a pod of a node to the first address of a CIDR of another cluster. */
function legOf(
  a: ClusterEvidence,
  node: string,
  remote: { readonly id: string; readonly cidr: string },
): Leg | undefined {
  const own = a.routeAgents.get(node)?.state?.inputs.host?.cni?.address;
  const address = firstAddress(remote.cidr);
  if (address === undefined) return undefined;
  const from: End = {
    cluster: a.clusterId,
    kind: own === undefined ? 'node' : 'pod',
    name: node,
    address: own ?? '',
    node,
  };
  const to: End = { cluster: remote.id, kind: 'address', name: address, address, node: undefined };
  return { way: 'there', from, to, a, b: { ...a, clusterId: remote.id } };
}

function remoteCidrs({
  endpoints,
  clusterId,
}: ClusterEvidence): readonly { readonly id: string; readonly cidr: string }[] {
  return endpoints
    .filter(({ spec }) => spec.cluster_id !== clusterId)
    .flatMap(({ spec }) =>
      spec.subnets.filter((cidr) => !cidr.includes(':')).map((cidr) => ({ id: spec.cluster_id, cidr })),
    );
}

function asFinding(node: string, { status, cause, mend }: HopFinding): readonly Finding[] {
  return status === 'broken' || status === 'unknown'
    ? [{ object: `node ${node}`, reason: cause, hint: `${mend}.` }]
    : [];
}

/** Routes of others that take a part of a remote CIDR away. */
function strayRoutes(a: ClusterEvidence, node: string): readonly Finding[] {
  const routes = a.networks.get(node)?.node?.routes ?? [];
  const remote = remoteCidrs(a);
  const isGateway = gatewayNode(a) === node;
  return routes
    .filter(({ table, link, type }) => table === 254 && !isGateway && link !== OVERLAY.link && type === undefined)
    .flatMap((route) => {
      const taken = remote.find(({ cidr }) => cidr !== route.destination && cidrContains(cidr, route.destination));
      if (taken === undefined) return [];
      return [
        {
          object: `node ${node}`,
          reason: `a route of somebody else takes a part of ${taken.cidr} of ${taken.id} away: ${describeRoute(route)}`,
          hint: `On node ${node}: ip route del ${describeRoute(route).replace(' table main', '')}.`,
        },
      ];
    });
}

async function ways({ cluster }: CheckContext): Promise<Outcome> {
  const evidence = await readEvidence(cluster);
  const nodes = [...evidence.networks.keys()];
  const remote = remoteCidrs(evidence);
  const findings = nodes.flatMap((node) => [
    ...remote.flatMap((one) => {
      const leg = legOf(evidence, node, one);
      return leg === undefined ? [] : asFinding(node, routeFinding(leg));
    }),
    ...strayRoutes(evidence, node),
  ]);
  return failedIf(findings, `${nodes.length} nodes, ${remote.length} CIDRs`);
}

async function sources({ cluster }: CheckContext): Promise<Outcome> {
  const evidence = await readEvidence(cluster);
  const remote = remoteCidrs(evidence);
  const findings = [...evidence.networks.keys()].flatMap((node) =>
    remote.flatMap((one) => {
      const leg = legOf(evidence, node, one);
      if (leg === undefined || leg.from.kind === 'node') return [];
      const addresses = { source: leg.from.address, destination: leg.to.address };
      return asFinding(node, natFinding(evidence, node, addresses, 'out'));
    }),
  );
  const distinct = new Map(findings.map((finding) => [finding.object, finding]));
  return failedIf([...distinct.values()], `${evidence.networks.size} nodes`);
}

async function filters({ cluster }: CheckContext): Promise<Outcome> {
  const { networks } = await readEvidence(cluster);
  const findings = [...networks].flatMap(([node, { node: network }]): readonly Finding[] => {
    const value = (key: string): string | undefined => network?.sysctls.find((one) => one.key === key)?.value;
    const strict = [value('net.ipv4.conf.all.rp_filter'), value(`net.ipv4.conf.${OVERLAY.link}.rp_filter`)].includes(
      '1',
    );
    const loose = value(`net.ipv4.conf.${OVERLAY.link}.rp_filter`) === '2';
    return [
      ...(strict && !loose
        ? [{ object: `node ${node}`, reason: `checks sources strictly on ${OVERLAY.link} (rp_filter 1)` }]
        : []),
      ...(value('net.ipv4.ip_forward') === '0'
        ? [{ object: `node ${node}`, reason: 'does not forward packets (net.ipv4.ip_forward is 0)' }]
        : []),
    ];
  });
  return warningIf(findings);
}

const RESTART =
  'kubectl -n submariner-operator rollout restart daemonset/submariner-routeagent makes the route agents write everything again.';

/** Whether every node sends packets for other clusters where they belong. */
export const ROUTES_CHECKS: readonly Check[] = [
  {
    category: 'routes',
    name: 'agents',
    title: 'Route agents answer and have nothing left to do',
    hint: `kubectl -n submariner-operator logs daemonset/submariner-routeagent tells what keeps them; ${RESTART}`,
    joinedOnly: true,
    run: agents,
  },
  {
    category: 'routes',
    name: 'ways',
    title: 'Every node sends packets for the other clusters to its gateway, and gateways into a cable',
    hint: RESTART,
    joinedOnly: true,
    run: ways,
  },
  {
    category: 'routes',
    name: 'source',
    title: 'Every node keeps the addresses of pods',
    hint: RESTART,
    joinedOnly: true,
    run: sources,
  },
  {
    category: 'routes',
    name: 'filters',
    title: 'No node drops what it is to pass on',
    hint: RESTART,
    joinedOnly: true,
    run: filters,
  },
];
