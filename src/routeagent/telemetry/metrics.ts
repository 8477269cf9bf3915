import { parseGoDuration } from '../../api/duration.ts';
import type { Metric, Sample } from '../../runtime/metrics.ts';
import type { RouteAgentConfig, RouteAgentView } from '../routeagent.ts';

const ROLES = ['gateway', 'worker', 'no gateway known'] as const;

/** Metrics of a node's way to the other clusters; only what holds now has a series. */
export function routeAgentMetrics(
  { clusterId, nodeName }: Pick<RouteAgentConfig, 'clusterId' | 'nodeName'>,
  { gathered, failure, verdict }: RouteAgentView,
): readonly Metric[] {
  const here = { local_cluster: clusterId, local_hostname: nodeName };
  const remotes = (gathered?.remotes ?? []).map(({ spec, refusal }) => ({
    labels: { ...here, remote_cluster: spec.cluster_id, remote_hostname: spec.hostname },
    refusal,
    probe: verdict(spec.cluster_id),
  }));
  const latencies = remotes.flatMap(({ labels, probe }): readonly Sample[] => {
    const ms = probe?.latency === undefined ? undefined : parseGoDuration(probe.latency.last);
    return ms === undefined ? [] : [{ labels, value: ms / 1000 }];
  });
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name,
    type: 'gauge',
    help,
    samples,
  });
  const role = gathered?.inputs.gateway.role;
  return [
    gauge(
      'submariner_routeagent_role',
      'What the node is for the traffic to other clusters; 1 for the role it has.',
      role === undefined ? [] : ROLES.map((one) => ({ labels: { ...here, role: one }, value: Number(one === role) })),
    ),
    gauge(
      'submariner_routeagent_connections',
      'Remote clusters as this node reaches them through its gateway; always 1. Status none: not probed from here.',
      remotes.map(({ labels, refusal, probe }) => ({
        labels: { ...labels, status: refusal === undefined ? (probe?.status ?? 'none') : 'error' },
        value: 1,
      })),
    ),
    gauge(
      'submariner_routeagent_latency_seconds',
      'Last round-trip time of a probe from this node to the gateway of a remote cluster.',
      latencies,
    ),
    gauge('submariner_routeagent_failing', 'Whether the network of the node is not as wanted.', [
      { labels: here, value: Number(failure !== undefined || (gathered?.problems.length ?? 0) > 0) },
    ]),
  ];
}
