import type { CountOrder, ProbeOrder, ProbeReport, ProbeTarget } from '../../src/host/prober/protocol.ts';
import type { ExecOptions, ExecResult, KubeObject } from '../../src/kube/client.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import {
  EAST,
  endpointSpec,
  engine,
  evidence,
  nodeIp,
  type Numbers,
  podCidr,
  routeAgent,
  serviceCidr,
  WEST,
} from './explain/evidence.ts';
import { Harness } from './harness.ts';

export const NAMESPACE = 'submariner-operator';
const BROKER_NAMESPACE = 'broker';
const PSK = Buffer.from('the key of the set').toString('base64');

/** What pods of the fleet print, unless all is well. */
export interface Behaviour {
  /** Changes what is reported of one target. */
  readonly report?: (pod: string, target: ProbeTarget) => Partial<ProbeReport>;
  /** Packets that a counter sees; 5 when not said. */
  readonly count?: (pod: string, id: string) => number | undefined;
  /** Instead of all that. */
  readonly exec?: (
    pod: string,
    command: readonly string[],
    otherwise: () => Promise<ExecResult>,
  ) => Promise<ExecResult>;
}

const printed = (value: object): ExecResult => ({ exitCode: 0, stdout: `${JSON.stringify(value)}\n`, stderr: '' });

const at = (name: string, labels: Readonly<Record<string, string>> = {}): KubeObject['metadata'] => ({
  name,
  namespace: NAMESPACE,
  labels,
});

/** All good of everything that a target is asked for; a test pod is seen as itself. */
function goodReport(pod: string, target: ProbeTarget): ProbeReport {
  const clientIP = pod.replace('probe-', '10.7.0.');
  const bursts = (target.udp?.bursts ?? []).map(({ bytes, count }) => ({
    bytes,
    sent: count,
    there: count,
    back: count,
  }));
  const all: Omit<ProbeReport, 'id'> = {
    icmp: { sent: 3, received: 3, rttMs: 0.4, failure: '' },
    pathMtu: { triedBytes: 1450, largestBytes: 1450, toldBytes: null, blackHole: false },
    tcp: { ok: true, connectMs: 1, clientIP, upBytes: 65_536, downBytes: 65_536, failure: '' },
    udp: { bursts, clientIP, failure: '' },
  };
  const asked = Object.entries(all).filter(([kind]) => kind in target);
  return { id: target.id, ...Object.fromEntries(asked) };
}

async function send(pod: string, behaviour: Behaviour, options: ExecOptions | undefined): Promise<ExecResult> {
  // oxlint-disable-next-line typescript/await-thenable
  const order = JSON.parse((await options?.stdin) ?? '') as ProbeOrder;
  const reports = order.targets.map((target) => ({
    ...goodReport(pod, target),
    ...behaviour.report?.(pod, target),
  }));
  return { exitCode: 0, stdout: reports.map((report) => JSON.stringify(report)).join('\n'), stderr: '' };
}

async function count(
  pod: string,
  text: string,
  behaviour: Behaviour,
  options: ExecOptions | undefined,
): Promise<ExecResult> {
  options?.onStdout?.('ready\n');
  await options?.stdin;
  const { rules } = JSON.parse(text) as CountOrder;
  return printed(Object.fromEntries(rules.map(({ id }) => [id, behaviour.count?.(pod, id) ?? 5])));
}

function answers(own: Numbers, other: Numbers, behaviour: Behaviour): FakeKube['onExec'] {
  return async (_namespace, pod, command, options) => {
    const otherwise = async (): Promise<ExecResult> => {
      const [program, verb, what, text = ''] = command;
      if (program === 'engine') return printed(engine(own, other));
      if (verb === '--debug-state') return printed(routeAgent(own, other, Number(pod.slice(-1))));
      if (what === 'count') return count(pod, text, behaviour, options);
      return send(pod, behaviour, options);
    };
    return behaviour.exec === undefined ? otherwise() : behaviour.exec(pod, command, otherwise);
  };
}

function seedMirrored(kube: FakeKube, namespace: string, own: string | undefined): void {
  for (const cluster of [EAST, WEST]) {
    const labels = cluster.id === own ? {} : { 'submariner-io/clusterID': cluster.id };
    const metadata = { name: cluster.id, namespace, labels };
    const cidrs = { cluster_cidr: [podCidr(cluster)], service_cidr: [serviceCidr(cluster)], global_cidr: [] };
    const apiVersion = 'submariner.io/v1';
    kube.seed(RESOURCES.endpoints, {
      apiVersion,
      kind: 'Endpoint',
      metadata,
      spec: endpointSpec(cluster),
    } as KubeObject);
    kube.seed(RESOURCES.clusters, {
      apiVersion,
      kind: 'Cluster',
      metadata,
      spec: { cluster_id: cluster.id, ...cidrs },
    } as KubeObject);
  }
}

function seedBroker(kube: FakeKube): void {
  seedMirrored(kube, BROKER_NAMESPACE, undefined);
  const metadata = { name: 'submariner-broker', namespace: BROKER_NAMESPACE };
  kube.seed(RESOURCES.brokers, { metadata, spec: {} } as KubeObject);
}

function seedDeployment(kube: FakeKube, own: Numbers): void {
  for (const type of ['clusters', 'endpoints', 'gateways', 'routeagents'])
    kube.seed(RESOURCES.crds, { metadata: { name: `${type}.submariner.io` } });
  for (const [app, nodes] of [
    ['submariner-routeagent', [1, 2, 3]],
    ['submariner-gateway', [1]],
  ] as const) {
    const number = nodes.length;
    kube.seed(RESOURCES.daemonSets, {
      metadata: { ...at(app), generation: 1 },
      spec: { selector: {}, template: { spec: { containers: [] } } },
      status: {
        observedGeneration: 1,
        updatedNumberScheduled: number,
        numberReady: number,
        desiredNumberScheduled: number,
        currentNumberScheduled: number,
      },
    } as KubeObject);
    for (const k of nodes) {
      kube.seed(RESOURCES.pods, {
        metadata: at(`${app}-${k}`, { app }),
        spec: { nodeName: `${own.id}-${k}`, hostNetwork: true, containers: [{ name: 'a', image: `img/${own.id}:1` }] },
        status: { phase: 'Running', containerStatuses: [] },
      } as KubeObject);
    }
  }
  kube.seed(RESOURCES.secrets, { metadata: at('submariner-ipsec-psk'), data: { psk: PSK } } as KubeObject);
  kube.seed(RESOURCES.secrets, { metadata: at('submariner-broker-secret'), data: { token: 'dA==' } } as KubeObject);
}

function seedStatus(kube: FakeKube, own: Numbers, other: Numbers): void {
  const endpoint = endpointSpec(other);
  const connection = { status: 'connected', statusMessage: '', endpoint, usingIP: nodeIp(other, 1) };
  const localEndpoint = endpointSpec(own);
  kube.seed(RESOURCES.gateways, {
    metadata: at(`${own.id}-1`),
    status: { version: '9.8.7', haStatus: 'active', statusFailure: '', localEndpoint, connections: [connection] },
  } as KubeObject);
  for (const k of [1, 2, 3]) {
    kube.seed(RESOURCES.routeAgents, {
      metadata: at(`${own.id}-${k}`),
      status: { version: '9.8.7', statusFailure: '', remoteEndpoints: [] },
    } as KubeObject);
  }
}

/** Test pods of a namespace become ready as soon as they are looked for. */
export function makeReady(kube: FakeKube, namespace: string): void {
  for (const [index, pod] of kube.all<Pod>(RESOURCES.pods, namespace).entries()) {
    if (pod.status !== undefined) continue;
    kube.drop(RESOURCES.pods, pod.metadata.name!, namespace);
    const conditions = [{ type: 'Ready', status: 'True' as const }];
    kube.seed(RESOURCES.pods, { ...pod, status: { phase: 'Running', podIP: `10.7.0.${index + 1}`, conditions } });
  }
}

function cluster(own: Numbers, other: Numbers, behaviour: Behaviour): FakeKube {
  const kube = new FakeKube([], `https://${own.id}:6443`);
  kube.seed(RESOURCES.namespaces, { metadata: { name: 'kube-system', uid: `uid-${own.id}` } });
  const cidrs = { clusterCIDR: podCidr(own), serviceCIDR: serviceCidr(own) };
  const broker = { brokerK8sApiServer: 'east:6443', brokerK8sRemoteNamespace: BROKER_NAMESPACE };
  const spec = { clusterID: own.id, ...cidrs, ...broker };
  kube.seed(RESOURCES.submariners, { metadata: at('submariner'), spec } as KubeObject);
  const all = evidence(own, other);
  for (const node of all.nodes) {
    const gateway = node.metadata.name?.endsWith('1') === true ? 'true' : 'false';
    kube.seed(RESOURCES.nodes, {
      ...node,
      metadata: { ...node.metadata, labels: { 'submariner.io/gateway': gateway } },
    });
  }
  for (const one of all.pods) kube.seed(RESOURCES.pods, one);
  for (const one of all.services) kube.seed(RESOURCES.services, one);
  for (const one of all.slices) kube.seed(RESOURCES.endpointSlices, one);
  const clusterIP = serviceCidr(own).replace('0.0/16', '0.1');
  kube.seed(RESOURCES.services, {
    metadata: { name: 'kubernetes', namespace: 'default' },
    spec: { clusterIP },
  } as KubeObject);
  seedMirrored(kube, NAMESPACE, own.id);
  seedDeployment(kube, own);
  seedStatus(kube, own, other);
  kube.onRequest = (_method, path) => (path === '/version' ? { gitVersion: 'v1.32.4' } : undefined);
  kube.onCall = ({ verb, resource, namespace }) => {
    if (verb === 'list' && resource === 'pods' && namespace?.startsWith('subctl-test-')) makeReady(kube, namespace);
    return undefined;
  };
  kube.onExec = answers(own, other, behaviour);
  return kube;
}

export interface Fleet {
  readonly harness: Harness;
  readonly east: FakeKube;
  readonly west: FakeKube;
}

/** Two clusters of three nodes that have joined, east being the broker too; all is well unless `behaviour` says otherwise. */
export function fleet(behaviour: Behaviour = {}): Fleet {
  const [east, west] = [cluster(EAST, WEST, behaviour), cluster(WEST, EAST, behaviour)];
  seedBroker(east);
  return { harness: new Harness({ east, west }), east, west };
}
