import type { ProbeResult } from '../../sandbox/probe.ts';

/** A pod that runs, as far as traffic needs it. */
export interface PodPlace {
  readonly name: string;
  readonly address: string;
  readonly node: string;
}

/** A cluster as the traffic test sees it. */
export interface ClusterPlace {
  readonly name: string;
  /** Nodes with their address inside the pod network. */
  readonly nodes: readonly { readonly name: string; readonly gateway: boolean; readonly podNetworkAddress: string }[];
  /** Pods of Deployment echo. */
  readonly echo: readonly PodPlace[];
  readonly client: PodPlace;
  /** ClusterIP of Service echo. */
  readonly serviceAddress: string;
  readonly port: number;
}

/** Where packets start. */
export interface Source {
  readonly cluster: string;
  /** What `sandbox exec` calls it: a node, or pod/NAME. */
  readonly target: string;
  readonly label: string;
  /** The source address that the server ought to see. */
  readonly address: string;
}

/** One request of the table. */
export interface Crossing {
  readonly source: Source;
  readonly destination: string;
  readonly url: string;
}

/** A line of the table of proven traffic. */
export interface TrafficRow {
  readonly from: string;
  readonly to: string;
  readonly good: boolean;
  readonly result: string;
  readonly seen: string;
  readonly expected: string;
  readonly rtt: string;
}

const role = (gateway: boolean): string => (gateway ? 'gateway' : 'non-gateway');

function podOn(cluster: ClusterPlace, gateway: boolean, pods: readonly PodPlace[]): PodPlace | undefined {
  const names = new Set(cluster.nodes.filter((node) => node.gateway === gateway).map((node) => node.name));
  return pods.find((pod) => names.has(pod.node));
}

/** Pods and nodes of both kinds of node, one of each. */
function sourcesOf(cluster: ClusterPlace): readonly Source[] {
  return [false, true].flatMap((gateway) => {
    const pod = podOn(cluster, gateway, [cluster.client, ...cluster.echo]);
    const node = cluster.nodes.find((one) => one.gateway === gateway);
    const common = { cluster: cluster.name };
    return [
      ...(pod === undefined
        ? []
        : [
            {
              ...common,
              target: `pod/${pod.name}`,
              label: `pod on ${pod.node} (${role(gateway)})`,
              address: pod.address,
            },
          ]),
      ...(node === undefined
        ? []
        : [
            {
              ...common,
              target: node.name,
              label: `node ${node.name} (${role(gateway)})`,
              address: node.podNetworkAddress,
            },
          ]),
    ];
  });
}

function destinationsOf(cluster: ClusterPlace, fromPod: boolean): readonly Omit<Crossing, 'source'>[] {
  const pods = [false, true].flatMap((gateway) => {
    const pod = podOn(cluster, gateway, cluster.echo);
    if (pod === undefined) return [];
    return [{ destination: `pod on ${pod.node} (${role(gateway)})`, url: `http://${pod.address}:${cluster.port}/` }];
  });
  const service = {
    destination: `Service echo of ${cluster.name}`,
    url: `http://${cluster.serviceAddress}:${cluster.port}/`,
  };
  return fromPod ? [...pods, service] : pods;
}

/** Kinds of nodes of a cluster on which no pod echo runs, so that the table would have a hole; [] when there is none. */
export function uncoveredPlaces(cluster: ClusterPlace): readonly string[] {
  return [false, true]
    .filter((gateway) => cluster.nodes.some((node) => node.gateway === gateway))
    .filter((gateway) => podOn(cluster, gateway, cluster.echo) === undefined)
    .map((gateway) => `no pod echo runs on a ${role(gateway)} node of ${cluster.name}`);
}

/**
 * Everything that has to work between two clusters, each direction: pod to pod, pod to Service, node to pod, from gateway
 * and non-gateway nodes.
 */
export function planTraffic(a: ClusterPlace, b: ClusterPlace): readonly Crossing[] {
  const oneWay = (from: ClusterPlace, to: ClusterPlace): readonly Crossing[] =>
    sourcesOf(from).flatMap((source) =>
      destinationsOf(to, source.target.startsWith('pod/')).map((destination) => ({ source, ...destination })),
    );
  return [...oneWay(a, b), ...oneWay(b, a)];
}

/** Judges one answer: good when the server answered and saw the address the packet started with. */
export function judge(
  crossing: Crossing,
  result: ProbeResult = { url: crossing.url, ok: false, error: 'not tried' },
): TrafficRow {
  const { source, destination } = crossing;
  const { ok, clientIP: seen = '', error = 'failed', rttMs } = result;
  const good = ok && seen === source.address;
  return {
    from: source.label,
    to: destination,
    good,
    result: good ? 'ok' : ok ? 'wrong source' : error,
    seen,
    expected: source.address,
    rtt: rttMs === undefined ? '' : `${rttMs.toFixed(1)} ms`,
  };
}

/** The answers of a probe program, one JSON line each; other lines are left out. */
export function parseProbeOutput(text: string): readonly ProbeResult[] {
  return text.split('\n').flatMap((line) => {
    try {
      const parsed: unknown = JSON.parse(line);
      return typeof parsed === 'object' && parsed !== null && 'url' in parsed ? [parsed as ProbeResult] : [];
    } catch {
      return [];
    }
  });
}
