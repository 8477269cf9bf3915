import { expect } from '@jest/globals';
import { AVAILABILITY_ANNOTATION } from '../../../src/api/availability.ts';
import type { Gateway } from '../../../src/api/types.ts';
import type { KubeObject } from '../../../src/kube/client.ts';
import type { DaemonSet, Node, Pod } from '../../../src/kube/objects.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { planDaemonSet } from '../../../src/sandbox/controllers/daemonset-plan.ts';
import { type FakeCall, FakeKube } from '../../fakes/kube.ts';
import { endpointSpec, Harness, type HarnessOptions, node, type RunOutcome, withControllers } from '../harness.ts';

const NAMESPACE = 'submariner-operator';
const STATUS = { namespace: NAMESPACE, patchType: 'merge', subresource: 'status' } as const;

/** Requests for these are when something has happened. */
const WATCHED: ReadonlySet<string> = new Set(['pods', 'daemonsets', 'gateways', 'routeagents', 'leases']);

/** What pods do, unless all is well. */
export interface Misbehaviour {
  /** Why a pod of this image does not start. */
  readonly trouble?: (image: string, node: string) => string | undefined;
  /** Called before each request; may make it fail. */
  readonly onCall?: (call: FakeCall) => Error | undefined;
}

/**
 * Plays the DaemonSet controller, kubelets and daemons of a cluster with `gateways` gateway nodes, once it has joined: pods
 * follow their templates, the one whose node has the lease is active, all report.
 */
export class Daemons {
  readonly #kube: FakeKube;
  #misbehaviour: Misbehaviour = {};
  /** Pods in the order in which they were deleted, as `app on node`. */
  readonly replaced: string[] = [];
  active: string;
  #count = 0;
  readonly #reported = new Map<string, string>();

  constructor(kube: FakeKube, active: string) {
    this.#kube = kube;
    this.active = active;
    kube.drop(RESOURCES.gateways, 'n1', NAMESPACE);
    kube.seed(RESOURCES.leases, { metadata: { name: 'submariner-gateway-lock', namespace: NAMESPACE } });
    const plain = kube.onCall;
    kube.onCall = (call) => {
      if (WATCHED.has(call.resource)) this.#settle(call);
      return this.#misbehaviour.onCall?.(call) ?? plain?.(call);
    };
    kube.onExec = (_namespace, pod, [daemon]) => {
      const found = kube.all<Pod>(RESOURCES.pods, NAMESPACE).find(({ metadata }) => metadata.name === pod);
      const node = found?.spec.nodeName;
      return {
        exitCode: 0,
        stdout: JSON.stringify({ daemon, node, unready: [], inputs: {}, desired: {}, observed: {} }),
        stderr: '',
      };
    };
    this.#reconcile();
  }

  set misbehaviour(misbehaviour: Misbehaviour) {
    this.#misbehaviour = misbehaviour;
  }

  /** `app on node: image` of every pod. */
  get running(): readonly string[] {
    return this.#kube
      .all<Pod>(RESOURCES.pods, NAMESPACE)
      .map((pod) => `${nameOf(pod)}: ${pod.spec.containers[0]?.image}`)
      .toSorted();
  }

  #settle({ verb, resource, name }: FakeCall): void {
    const pods = this.#kube.all<Pod>(RESOURCES.pods, NAMESPACE);
    if (verb === 'delete' && resource === 'pods') {
      const gone = pods.find(({ metadata }) => metadata.name === name);
      if (gone !== undefined) this.replaced.push(nameOf(gone));
    }
    const [offer] = this.#kube
      .all(RESOURCES.leases)
      .filter(({ metadata }) => metadata.name === 'submariner-gateway-lock')
      .map(({ metadata }) => Object.values(metadata.annotations ?? {})[0]);
    if (typeof offer === 'string' && offer !== '') this.active = offer.replace(/-submariner-gateway$/, '');
    if (['list', 'get'].includes(verb)) this.#reconcile();
  }

  #reconcile(): void {
    const kube = this.#kube;
    const nodes = kube.all<Node>(RESOURCES.nodes);
    for (const daemonSet of kube.all<DaemonSet>(RESOURCES.daemonSets)) {
      const plan = planDaemonSet(daemonSet, nodes, kube.all<Pod>(RESOURCES.pods, NAMESPACE));
      for (const pod of plan.remove) kube.drop(RESOURCES.pods, pod.metadata.name ?? '', NAMESPACE);
      for (const pod of plan.create) this.#start(pod);
      const { name = '' } = daemonSet.metadata;
      const { status } = planDaemonSet(daemonSet, nodes, kube.all<Pod>(RESOURCES.pods, NAMESPACE));
      if (JSON.stringify(status) === JSON.stringify(daemonSet.status)) continue;
      void kube.patch(RESOURCES.daemonSets, name, { status }, STATUS);
    }
    this.#report();
  }

  #start(pod: Pod): void {
    this.#count += 1;
    const [container] = pod.spec.containers;
    const reason = this.#misbehaviour.trouble?.(container?.image ?? '', pod.spec.nodeName ?? '');
    const ready = reason === undefined;
    const state = ready ? { running: {} } : { waiting: { reason } };
    this.#kube.seed(RESOURCES.pods, {
      ...pod,
      metadata: { ...pod.metadata, name: `${pod.metadata.generateName}${this.#count}` },
      status: {
        phase: ready ? 'Running' : 'Pending',
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
        containerStatuses: [{ name: container?.name ?? '', ready, restartCount: 0, state }],
      },
    } as unknown as Pod);
  }

  #report(): void {
    const kube = this.#kube;
    const pods = kube.all<Pod>(RESOURCES.pods, NAMESPACE);
    for (const pod of pods) {
      const node = pod.spec.nodeName ?? '';
      const works = pod.status?.phase === 'Running';
      if (!works) continue;
      if (nameOf(pod).startsWith('submariner-routeagent')) this.#put(RESOURCES.routeAgents, routeAgent(node));
      else this.#put(RESOURCES.gateways, gateway(node, this.active === node, pod.metadata.uid ?? ''));
    }
  }

  #put(type: typeof RESOURCES.gateways, object: KubeObject): void {
    const text = JSON.stringify(object);
    const key = `${type.plural}/${object.metadata.name}`;
    if (this.#reported.get(key) === text) return;
    this.#reported.set(key, text);
    this.#kube.drop(type, object.metadata.name ?? '', NAMESPACE);
    this.#kube.seed(type, object);
  }
}

function nameOf({ metadata, spec }: Pod): string {
  return `${metadata.labels?.['app']} on ${spec.nodeName}`;
}

function routeAgent(node: string): KubeObject {
  return {
    metadata: { name: node, namespace: NAMESPACE },
    status: { version: '9.8.7', statusFailure: '', remoteEndpoints: [] },
  } as KubeObject;
}

function gateway(node: string, active: boolean, uid: string): Gateway & KubeObject {
  const availability = { ready: true, reason: '', since: `since ${uid}`, slots: 2, cables: [] };
  const endpoint = { ...endpointSpec('other', '10.0.0.9'), hostname: 'other-1' };
  return {
    metadata: {
      name: node,
      namespace: NAMESPACE,
      annotations: { [AVAILABILITY_ANNOTATION]: JSON.stringify(availability) },
    },
    status: {
      version: '9.8.6',
      haStatus: active ? 'active' : 'passive',
      statusFailure: '',
      localEndpoint: { ...endpointSpec('west', '10.0.0.1'), hostname: node },
      connections: active ? [{ status: 'connected', statusMessage: '', endpoint }] : [],
    },
  } as unknown as Gateway & KubeObject;
}

/** A cluster that has joined, and what runs in it. */
export interface World {
  readonly harness: Harness;
  readonly west: FakeKube;
  readonly daemons: Daemons;
}

/** The command line west joined with. */
export const JOIN = [
  'join',
  'broker-info.subm',
  '--context',
  'west',
  '--clustercidr',
  '10.131.0.0/16',
  '--servicecidr',
  '100.67.0.0/16',
];

/** West, with gateways west-1 (active) and west-2 and a worker west-3, joined with version 9.8.6. */
export async function world(options: HarnessOptions = {}): Promise<World> {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  for (const name of ['west-1', 'west-2']) west.seed(RESOURCES.nodes, node(name, { 'submariner.io/gateway': 'true' }));
  west.seed(RESOURCES.nodes, node('west-3'));
  const harness = new Harness({ east, west }, options);
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run(...JOIN, '--version', '9.8.6'));
  return { harness, west, daemons: new Daemons(west, 'west-1') };
}

/** The outcome of a command that has to succeed. */
export function good(outcome: RunOutcome): RunOutcome {
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return outcome;
}
