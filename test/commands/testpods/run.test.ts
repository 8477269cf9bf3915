import { beforeEach, describe, expect, test } from '@jest/globals';
import { createReporter } from '../../../src/commands/reporter.ts';
import type { CommandRun } from '../../../src/commands/context.ts';
import { withTestPods, type TestPodRequest, type TestPods } from '../../../src/commands/testpods/run.ts';
import { measure, sendProbes } from '../../../src/commands/testpods/send.ts';
import { startDeadline } from '../../../src/commands/waiting.ts';
import type { KubeObject } from '../../../src/kube/client.ts';
import { KubeApiError } from '../../../src/kube/errors.ts';
import type { Pod, Service } from '../../../src/kube/objects.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { JumpingClock } from '../harness.ts';

let said = '';
let interrupt: AbortController;
const clock = new JumpingClock();

beforeEach(() => {
  said = '';
  interrupt = new AbortController();
});

function fakeRun(): CommandRun {
  const sink = { write: (text: string) => void (said += text), isTTY: false };
  const reporter = createReporter({ sink, env: {}, clock, verbosity: 0 });
  return { context: { clock }, reporter } as unknown as CommandRun;
}

interface Behaviour {
  /** Pods on these nodes never become ready. */
  readonly stuck?: readonly string[];
  readonly forbidden?: string;
}

/** A cluster whose kubelets run pods at once, and which empties namespaces that are deleted. */
function cluster({ stuck = [], forbidden }: Behaviour = {}): FakeKube {
  const kube = new FakeKube([], 'https://east:6443');
  kube.onCall = ({ verb, resource, name, namespace }) => {
    if (`${verb} ${resource}` === forbidden) {
      const attempt = { server: kube.server, method: 'POST', path: '/' };
      return new KubeApiError(403, { reason: 'Forbidden', message: 'not for you' }, attempt);
    }
    if (verb === 'list' && resource === 'pods')
      for (const pod of kube.all<Pod>(RESOURCES.pods)) start(kube, pod, stuck);
    if (verb === 'delete' && resource === 'namespaces') {
      for (const type of [RESOURCES.pods, RESOURCES.services]) {
        for (const { metadata } of kube.all(type, name)) kube.drop(type, metadata.name ?? '', name ?? namespace);
      }
    }
    return undefined;
  };
  return kube;
}

function start(kube: FakeKube, pod: Pod, stuck: readonly string[]): void {
  const { name = '', namespace = '' } = pod.metadata;
  if (pod.status !== undefined || stuck.includes(pod.spec.nodeName ?? '')) return;
  const status = { podIP: '10.130.1.7', phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
  void kube.patch(RESOURCES.pods, name, { status }, { namespace, patchType: 'merge', subresource: 'status' });
}

function request(client: FakeKube, more: Partial<TestPodRequest['plan']> = {}): TestPodRequest {
  const plan = { image: 'i', nodes: ['east-1', 'east-2'], hostNetwork: false, args: ['probe', 'serve'], port: 12_800 };
  return { client, context: 'ctx', clusterId: 'east', plan: { ...plan, ...more } };
}

async function runPods<T>(wanted: readonly TestPodRequest[], work: (pods: TestPods) => Promise<T>): Promise<T> {
  const limits = { deadline: startDeadline(clock, 600_000), signal: interrupt.signal };
  return withTestPods(fakeRun(), wanted, limits, work);
}

const left = (kube: FakeKube): readonly string[] =>
  [RESOURCES.namespaces, RESOURCES.pods, RESOURCES.services].flatMap((type) =>
    kube.all(type).map(({ metadata }) => `${type.plural}/${metadata.name}`),
  );

describe('test pods', () => {
  test('run in a namespace of their own while the work goes on, and are gone after it', async () => {
    const kube = cluster();
    const seen = await runPods([request(kube, { services: true })], async (pods) => {
      expect(left(kube)).toHaveLength(1 + 2 + 2);
      const selectors = kube.all<Service>(RESOURCES.services).map(({ spec }) => spec.selector);
      expect(new Set(selectors.map((one) => JSON.stringify(one))).size).toBe(2);
      return pods;
    });
    expect(seen.ready.map(({ node, address }) => [node, address])).toEqual([
      ['east-1', '10.130.1.7'],
      ['east-2', '10.130.1.7'],
    ]);
    expect(left(kube)).toEqual([]);
    expect(said).toContain('The test pods are removed');
  });

  test('are gone after work that fails or is interrupted, which is said', async () => {
    const kube = cluster();
    await expect(runPods([request(kube)], async () => Promise.reject(new Error('boom')))).rejects.toThrow('boom');
    expect(left(kube)).toEqual([]);
    const stopped = runPods([request(kube)], async () => {
      interrupt.abort();
      throw new Error('interrupted');
    });
    await expect(stopped).rejects.toThrow('interrupted');
    expect(left(kube)).toEqual([]);
  });

  test('in a namespace that was there only they are removed, and it stays', async () => {
    const kube = cluster();
    kube.seed(RESOURCES.namespaces, { metadata: { name: 'mine' } });
    const other = { metadata: { name: 'other', namespace: 'mine' }, spec: { containers: [] } } as KubeObject;
    kube.seed(RESOURCES.pods, other);
    await runPods([request(kube, { namespace: 'mine', services: true })], async ({ ready }) => {
      expect(ready).toHaveLength(2);
      expect(ready[0]!.namespace).toBe('mine');
    });
    expect(left(kube)).toEqual(['namespaces/mine', 'pods/other']);
    const deleted = kube.calls.filter(({ verb }) => verb === 'delete').map(({ resource }) => resource);
    expect(deleted).not.toContain('namespaces');
  });

  test('a pod that cannot be made takes all of them away again', async () => {
    const east = cluster();
    const west = cluster({ forbidden: 'create pods' });
    const both = [request(east), request(west)];
    await expect(runPods(both, async () => Promise.reject(new Error('unreachable')))).rejects.toThrow('not for you');
    expect([left(east), left(west)]).toEqual([[], []]);
  });

  test('a pod that does not become ready is told, with the others', async () => {
    const kube = cluster({ stuck: ['east-2'] });
    const { ready, problems } = await runPods([request(kube)], async (pods) => pods);
    expect(ready.map(({ node }) => node)).toEqual(['east-1']);
    expect(problems).toEqual([{ clusterId: 'east', node: 'east-2', reason: expect.stringContaining('Pending') }]);
    expect(left(kube)).toEqual([]);
  });

  test('what cannot be removed is said, with the command that does it', async () => {
    const kube = cluster({ forbidden: 'delete namespaces' });
    await runPods([request(kube)], async () => undefined);
    expect(said).toMatch(/kubectl --context ctx delete namespace subctl-test-[0-9a-f]{8}/);
  });
});

describe('sending from a pod', () => {
  const limits = { signal: new AbortController().signal, timeoutMs: 1000 };
  const mouth = (kube: FakeKube) => ({ client: kube, namespace: 'ns', pod: 'p' });
  const order = { targets: [], timeoutMs: 1 };

  test('reports by their names; what goes wrong is told', async () => {
    const kube = cluster();
    kube.onExec = () => ({ exitCode: 0, stdout: '{"id":"a"}\nnoise\n', stderr: '' });
    expect(await sendProbes(mouth(kube), order, limits)).toEqual({
      reports: new Map([['a', { id: 'a' }]]),
      failure: '',
    });
    kube.onExec = () => ({ exitCode: 2, stdout: '', stderr: '2030-01-01T00:00:00Z ERROR it is bad\n' });
    expect(await sendProbes(mouth(kube), order, limits)).toMatchObject({
      failure: 'the prober ended with 2: it is bad',
    });
  });

  test('a measurement gives its report or the reason', async () => {
    const kube = cluster();
    kube.onExec = (_namespace, _pod, command) => ({ exitCode: 0, stdout: JSON.stringify({ command }), stderr: '' });
    expect(await measure(mouth(kube), 'latency', { bytes: 1 }, limits)).toEqual({
      command: ['routeagent', 'probe', 'latency', '{"bytes":1}'],
    });
    kube.onExec = () => ({ exitCode: 1, stdout: '', stderr: '2030 ERROR probe latency: connect ECONNREFUSED\n' });
    await expect(measure(mouth(kube), 'latency', {}, limits)).rejects.toThrow('probe latency: connect ECONNREFUSED');
  });
});
