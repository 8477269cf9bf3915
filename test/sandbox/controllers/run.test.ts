import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KubeConnectionError } from '../../../src/kube/errors.ts';
import type { DaemonSet, Deployment, EndpointSlice, Node, Pod, Service } from '../../../src/kube/objects.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { createLogger } from '../../../src/runtime/logger.ts';
import { runControllers } from '../../../src/sandbox/controllers/run.ts';
import { FakeClock, settle } from '../../fakes/clock.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { daemonSet, deployment, node, service } from './objects.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const GRACE_MS = 10_000;

/** A cluster whose kubelets make every pod that is placed on a living node ready at once. */
class FakeCluster {
  readonly kube: FakeKube;
  readonly clock = new FakeClock(START);
  readonly living = new Set<string>();
  readonly #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();

  constructor(names: readonly string[]) {
    this.kube = new FakeKube();
    this.kube.now = () => this.clock.now();
    this.kube.onRequest = (method, path, body) => this.#request(method, path, body);
    for (const name of names) {
      this.living.add(name);
      this.kube.seed(RESOURCES.nodes, node(name));
    }
  }

  start(): void {
    const logger = createLogger({ level: 'error', write: () => undefined, now: () => 0 });
    this.#done = runControllers(
      { client: this.kube, logger, clock: this.clock, nodeGraceMs: GRACE_MS },
      this.#stop.signal,
    );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.kube.breakWatches('ended');
    await this.#done;
  }

  #request(method: string, path: string, body: unknown): unknown {
    const bound = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/binding$/.exec(path);
    if (method === 'POST' && bound !== null) {
      const { target } = body as { readonly target: { readonly name: string } };
      return this.kube.patch(
        RESOURCES.pods,
        bound[2] ?? '',
        { spec: { nodeName: target.name } },
        { patchType: 'merge', namespace: bound[1] ?? '' },
      );
    }
    const removed = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(path);
    if (method !== 'DELETE' || removed === null) return undefined;
    this.kube.drop(RESOURCES.pods, removed[2] ?? '', removed[1] ?? '');
    return {};
  }

  async #kubelets(): Promise<void> {
    const beat = new Date(this.clock.now()).toISOString();
    for (const name of this.living) {
      const status = { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: beat }] };
      await this.kube.patch(RESOURCES.nodes, name, { status }, { patchType: 'merge', subresource: 'status' });
    }
    for (const [index, pod] of this.kube.all<Pod>(RESOURCES.pods).entries()) {
      if (!this.living.has(pod.spec.nodeName ?? '') || pod.status?.podIP !== undefined) continue;
      const status = {
        phase: 'Running',
        podIP: `10.130.1.${index + 2}`,
        conditions: [{ type: 'Ready', status: 'True' }],
      };
      await this.kube.patch(
        RESOURCES.pods,
        pod.metadata.name ?? '',
        { status },
        { patchType: 'merge', subresource: 'status', namespace: 'default' },
      );
    }
  }

  /** Lets time pass in steps until `holds`, at most two minutes of the cluster's time. */
  async until(holds: () => boolean): Promise<void> {
    for (let round = 0; round < 240; round += 1) {
      await this.#kubelets();
      await settle();
      if (holds()) return;
      await this.clock.advance(500);
    }
    throw new Error(`not reached: ${holds.toString()}`);
  }

  pods(): readonly Pod[] {
    return this.kube.all<Pod>(RESOURCES.pods);
  }

  nodesOfPods(): readonly string[] {
    return this.pods()
      .map((pod) => pod.spec.nodeName ?? '')
      .toSorted();
  }
}

let cluster: FakeCluster;

beforeEach(() => {
  cluster = new FakeCluster(['n-1', 'n-2', 'n-3']);
});

afterEach(() => cluster.stop());

describe('controllers together', () => {
  test('a Deployment and its Service become pods on every node and endpoints', async () => {
    cluster.kube.seed(RESOURCES.deployments, deployment(3));
    cluster.kube.seed(RESOURCES.services, service());
    cluster.start();
    await cluster.until(() => cluster.kube.all<Deployment>(RESOURCES.deployments)[0]?.status?.availableReplicas === 3);
    expect(cluster.nodesOfPods()).toEqual(['n-1', 'n-2', 'n-3']);
    const endpoints = () => cluster.kube.all<EndpointSlice>(RESOURCES.endpointSlices)[0]?.endpoints ?? [];
    await cluster.until(() => endpoints().filter((endpoint) => endpoint.conditions?.ready === true).length === 3);
    expect(new Set(endpoints().map((endpoint) => endpoint.nodeName))).toEqual(new Set(['n-1', 'n-2', 'n-3']));
  });

  test('a DaemonSet counts its pods and follows new nodes and templates', async () => {
    cluster.kube.seed(RESOURCES.daemonSets, daemonSet());
    cluster.start();
    const status = () => cluster.kube.all<DaemonSet>(RESOURCES.daemonSets)[0]?.status;
    await cluster.until(() => status()?.numberReady === 3);
    cluster.living.add('n-4');
    cluster.kube.seed(RESOURCES.nodes, node('n-4'));
    await cluster.until(() => status()?.numberReady === 4);
    const before = cluster.pods().map((pod) => pod.metadata.uid);
    const template = { spec: { template: { spec: { containers: [{ name: 'agent', image: 'agent:2' }] } } } };
    await cluster.kube.patch(RESOURCES.daemonSets, 'agent', template, { patchType: 'merge', namespace: 'default' });
    await cluster.until(
      () => status()?.observedGeneration === 2 && status()?.updatedNumberScheduled === 4 && status()?.numberReady === 4,
    );
    expect(cluster.pods().filter((pod) => before.includes(pod.metadata.uid))).toEqual([]);
    expect(cluster.pods()).toHaveLength(4);
  });

  test('a silent node is lost, its pods are no longer ready and leave after their patience; it comes back', async () => {
    cluster.kube.seed(RESOURCES.deployments, deployment(3));
    cluster.kube.seed(RESOURCES.services, service());
    cluster.start();
    const ready = () =>
      cluster.kube.all<EndpointSlice>(RESOURCES.endpointSlices)[0]?.endpoints.filter((one) => one.conditions?.ready)
        .length;
    await cluster.until(() => ready() === 3);
    cluster.living.delete('n-2');
    const lost = () => cluster.kube.all<Node>(RESOURCES.nodes).find((one) => one.metadata.name === 'n-2');
    await cluster.until(() => (lost()?.spec?.taints ?? []).some((taint) => taint.effect === 'NoExecute'));
    expect(lost()?.status?.conditions?.[0]).toMatchObject({ status: 'Unknown', reason: 'NodeStatusUnknown' });
    await cluster.until(() => ready() === 2);
    cluster.living.add('n-2');
    await cluster.until(() => (lost()?.spec?.taints ?? []).length === 0);
  });

  test('pods of a removed node are removed and replaced elsewhere', async () => {
    cluster.kube.seed(RESOURCES.deployments, deployment(3));
    cluster.start();
    await cluster.until(() => cluster.nodesOfPods().join() === 'n-1,n-2,n-3');
    cluster.living.delete('n-3');
    cluster.kube.drop(RESOURCES.nodes, 'n-3');
    await cluster.until(
      () =>
        cluster.pods().length === 3 && !cluster.nodesOfPods().includes('n-3') && !cluster.nodesOfPods().includes(''),
    );
  });

  test('does nothing any more once all is as wanted', async () => {
    cluster.kube.seed(RESOURCES.deployments, deployment(2));
    cluster.kube.seed(RESOURCES.daemonSets, daemonSet());
    cluster.kube.seed(RESOURCES.services, service());
    cluster.start();
    await cluster.until(() => cluster.kube.all<Deployment>(RESOURCES.deployments)[0]?.status?.availableReplicas === 2);
    await cluster.until(() => cluster.kube.all<DaemonSet>(RESOURCES.daemonSets)[0]?.status?.numberReady === 3);
    await settle();
    const before = cluster.kube.writes.length;
    await cluster.clock.advance(5000);
    expect(cluster.kube.writes.slice(before)).toEqual([]);
  });

  test('whatever write fails, the cluster gets there and no pod too many is made', async () => {
    for (let failing = 0; failing < 12; failing += 1) {
      const world = new FakeCluster(['n-1', 'n-2']);
      let writes = 0;
      world.kube.onCall = (call) => {
        if (!['create', 'patch', 'replace', 'delete', 'request'].includes(call.verb) || call.resource === 'nodes')
          return undefined;
        writes += 1;
        if (writes - 1 !== failing) return undefined;
        return new KubeConnectionError(Object.assign(new Error('reset'), { code: 'ECONNRESET' }), {
          server: 'https://fake',
          method: 'X',
          path: '/',
        });
      };
      world.kube.seed(RESOURCES.deployments, deployment(2));
      world.kube.seed(RESOURCES.daemonSets, daemonSet());
      world.kube.seed<Service>(RESOURCES.services, service());
      world.start();
      try {
        await world.until(
          () =>
            world.kube.all<Deployment>(RESOURCES.deployments)[0]?.status?.availableReplicas === 2 &&
            world.kube.all<DaemonSet>(RESOURCES.daemonSets)[0]?.status?.numberReady === 2 &&
            world.kube.all<EndpointSlice>(RESOURCES.endpointSlices)[0]?.endpoints.length === 2,
        );
        expect(world.pods()).toHaveLength(4);
      } finally {
        await world.stop();
      }
    }
  });
});
