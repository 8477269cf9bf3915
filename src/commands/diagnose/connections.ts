import { readConnections } from '../show/connections.ts';
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
import { datagrams, echoes, judgeCrossings, losses, sources, streams, type Judge } from './traffic/judge.ts';
import type { Crossing } from './traffic/model.ts';

/** Share of lost packets from which on a way counts as broken; below it is a warning. */
const BAD_LOSS = 0.05;

async function known({ cluster, others }: CheckContext): Promise<Outcome> {
  const endpoints = await cluster.facts.endpoints();
  const ids = new Set(endpoints.map(({ spec }) => spec.cluster_id));
  const remotes = [...ids].filter((id) => id !== cluster.clusterId).toSorted();
  const missing = others.filter(({ clusterId }) => !ids.has(clusterId));
  if (missing.length === 0 && remotes.length > 0) return ok(remotes.join(', '));
  if (missing.length === 0)
    return failedIf([{ object: `cluster ${cluster.clusterId}`, reason: 'knows of no other cluster' }]);
  return failedIf(
    missing.map(({ clusterId }) => ({
      object: `Endpoint of ${clusterId}`,
      reason: `${cluster.clusterId} does not know it, though both have joined the same broker`,
    })),
  );
}

async function tunnels({ cluster }: CheckContext): Promise<Outcome> {
  const connections = await readConnections(cluster);
  if (connections.length === 0) {
    return failedIf([{ object: `cluster ${cluster.clusterId}`, reason: 'its active gateway reports no connection' }]);
  }
  const bad = connections.filter(({ status }) => status !== 'connected');
  return failedIf(
    bad.map(({ gateway, remoteCluster, remoteGateway, status, message }) => ({
      object: `tunnel ${gateway} -> ${remoteGateway} (${remoteCluster})`,
      reason: message === '' ? status : `${status}: ${message}`,
    })),
    connections.map(({ remoteCluster }) => remoteCluster).join(', '),
  );
}

/** A check of the packets that left the cluster. */
function packets(
  kind: 'node' | 'pod',
  applies: (crossing: Crossing) => boolean,
  judge: Judge,
  wholly?: string,
): (context: CheckContext) => Promise<Outcome> {
  return async ({ cluster, traffic }) => {
    const { crossings, untried } = await traffic();
    const own = crossings.filter(({ from }) => from.cluster === cluster.clusterId && from.kind === kind);
    const tried = own.filter((crossing) => crossing.report === undefined || applies(crossing));
    if (tried.length === 0) {
      const why = untried.find((one) => one.cluster === cluster.clusterId);
      return skipped(why === undefined ? 'no other cluster to send to' : `${why.object}: ${why.reason}`);
    }
    return failedIf(judgeCrossings(tried, judge, wholly), `${tried.length} ways`);
  };
}

async function tried({ cluster, traffic }: CheckContext): Promise<Outcome> {
  const { untried, crossings } = await traffic();
  const own = untried.filter((one) => one.cluster === cluster.clusterId);
  const silent = crossings.filter(({ from, report }) => from.cluster === cluster.clusterId && report === undefined);
  const places = new Map(silent.map(({ from, failure }) => [`${from.kind} on ${from.node}`, failure]));
  return failedIf([
    ...own.map(({ object, reason }) => ({ object, reason })),
    ...[...places].map(([object, reason]) => ({ object, reason })),
  ]);
}

async function loss({ cluster, traffic }: CheckContext): Promise<Outcome> {
  const own = losses(await traffic()).filter(({ from }) => from === cluster.clusterId);
  if (own.length === 0) return skipped('no datagram was sent: it takes test pods in two clusters');
  const lossy = own.filter(({ sent, arrived }) => arrived < sent);
  const findings = lossy.map(({ from, to, sent, arrived }): Finding => {
    const percent = Math.round(((sent - arrived) / sent) * 100);
    return { object: `${from} -> ${to}`, reason: `${sent - arrived} of ${sent} datagrams were lost (${percent} %)` };
  });
  const isBad = lossy.some(({ sent, arrived }) => (sent - arrived) / sent >= BAD_LOSS);
  const sum = own.reduce((total, { sent }) => total + sent, 0);
  return isBad ? failedIf(findings) : warningIf(findings, `${sum} datagrams, none lost`);
}

const EXPLAIN = 'subctl explain FROM TO follows one packet and names the hop that breaks it';

/** Whether packets get through; proven by sending some. */
export const CONNECTION_CHECKS: readonly Check[] = [
  {
    category: 'connections',
    name: 'known',
    title: 'The other clusters of the set are known',
    hint: 'subctl show brokers and kubectl -n submariner-operator logs daemonset/submariner-gateway tell whether both reach the broker.',
    joinedOnly: true,
    run: known,
  },
  {
    category: 'connections',
    name: 'tunnels',
    title: 'The active gateway reports all tunnels as connected',
    hint: 'docs/troubleshooting.md explains the messages; docs/ports.md names the ports that must be open.',
    joinedOnly: true,
    run: tunnels,
  },
  {
    category: 'connections',
    name: 'tried',
    title: 'Packets could be sent from every node',
    hint: 'What could not be tried is not known to work; subctl diagnose deployment tells why.',
    joinedOnly: true,
    run: tried,
  },
  {
    category: 'connections',
    name: 'nodes',
    title: 'Every node gets echoes from the other clusters',
    hint: `${EXPLAIN}.`,
    joinedOnly: true,
    run: packets('node', ({ report }) => report?.icmp !== undefined, echoes),
  },
  {
    category: 'connections',
    name: 'node-streams',
    title: 'Every node exchanges TCP streams with pods of the other clusters',
    hint: `${EXPLAIN}; subctl diagnose mtu tells whether large packets are lost.`,
    joinedOnly: true,
    run: packets('node', ({ report }) => report?.tcp !== undefined, streams),
  },
  {
    category: 'connections',
    name: 'pod-streams',
    title: 'Pods on every node exchange TCP streams with pods of the other clusters',
    hint: `${EXPLAIN}; subctl diagnose mtu tells whether large packets are lost.`,
    joinedOnly: true,
    run: packets('pod', ({ report }) => report?.tcp !== undefined, streams),
  },
  {
    category: 'connections',
    name: 'pod-datagrams',
    title: 'Pods on every node exchange UDP datagrams of several sizes with pods of the other clusters',
    hint: `${EXPLAIN}; subctl diagnose mtu tells whether large packets are lost.`,
    joinedOnly: true,
    run: packets('pod', ({ report }) => report?.udp !== undefined, datagrams),
  },
  {
    category: 'connections',
    name: 'source',
    title: 'Pods are seen with their own addresses',
    hint:
      `Something translates the source addresses of pods before our rule does. ${EXPLAIN}; ` +
      'kubectl -n submariner-operator rollout restart daemonset/submariner-routeagent writes our rules anew.',
    joinedOnly: true,
    run: packets(
      'pod',
      ({ report }) => (report?.tcp?.clientIP ?? report?.udp?.clientIP ?? '') !== '',
      sources,
      'every time',
    ),
  },
  {
    category: 'connections',
    name: 'loss',
    title: 'No packets are lost on the way out',
    hint: 'Loss in one direction only is on the network between the gateways, or on one of their links: compare both directions, and look at `ip -s link` on the gateways.',
    joinedOnly: true,
    run: loss,
  },
];
