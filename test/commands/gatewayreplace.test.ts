import { expect, test } from '@jest/globals';
import { AVAILABILITY_ANNOTATION } from '../../src/api/availability.ts';
import type { Gateway } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { OFFER_ANNOTATION } from '../../src/kube/leaserules.ts';
import type { Lease, Node, Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { endpointSpec, Harness, node, withControllers } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const LABEL = 'submariner.io/gateway';
const JOIN = 'join broker-info.subm --context west --clustercidr 10.131.0.0/16 --servicecidr 100.67.0.0/16'.split(' ');

interface World {
  readonly harness: Harness;
  readonly west: FakeKube;
  /** What happened, in order. */
  readonly log: string[];
}

function put(kube: FakeKube, name: string, haStatus: string, reason = ''): void {
  const said = JSON.stringify({ ready: reason === '', reason, since: '', slots: 2, cables: [] });
  kube.drop(RESOURCES.gateways, name, NAMESPACE);
  kube.seed(RESOURCES.gateways, {
    metadata: { name, namespace: NAMESPACE, annotations: { [AVAILABILITY_ANNOTATION]: said } },
    status: {
      version: '9.8.7',
      haStatus,
      statusFailure: '',
      localEndpoint: { ...endpointSpec('west', '10.0.0.1'), hostname: name },
      connections: [],
    },
  } as unknown as Gateway & KubeObject);
}

const labelled = (kube: FakeKube): readonly string[] =>
  kube
    .all<Node>(RESOURCES.nodes)
    .filter(({ metadata }) => metadata.labels?.[LABEL] === 'true')
    .map(({ metadata }) => metadata.name ?? '');

/** Plays engines: one on each labelled node, which obeys offers and goes with its label; and pods that clean. */
function withEngines(kube: FakeKube, log: string[], reason: (name: string) => string): void {
  const [plainCall, plainRequest] = [kube.onCall!, kube.onRequest];
  kube.onCall = (call) => {
    const failure = plainCall(call);
    if (call.verb === 'patch' && call.resource === 'nodes') log.push(`label of ${call.name}`);
    if (call.verb === 'create' && call.resource === 'pods') log.push('cleaner');
    if (call.verb === 'list' && call.resource === 'gateways') settle(kube, log, reason);
    if (call.verb === 'list' && call.resource === 'pods') succeed(kube);
    return failure;
  };
  kube.onRequest = (method, path, body) => {
    const pod = /\/pods\/(?<name>[^/]+)$/.exec(path)?.groups?.['name'];
    if (method !== 'DELETE' || pod === undefined) return plainRequest(method, path, body);
    kube.drop(RESOURCES.pods, pod, NAMESPACE);
    return {};
  };
}

function settle(kube: FakeKube, log: string[], reason: (name: string) => string): void {
  if (kube.all(RESOURCES.daemonSets, NAMESPACE).length === 0) return;
  const offered = kube
    .all<Lease>(RESOURCES.leases, NAMESPACE)
    .find(({ metadata }) => metadata.name === 'submariner-gateway-lock')
    ?.metadata.annotations?.[OFFER_ANNOTATION]?.replace('-submariner-gateway', '');
  const gateways = kube.all<Gateway & KubeObject>(RESOURCES.gateways, NAMESPACE);
  const active = gateways.find(({ status }) => status.haStatus === 'active')?.metadata.name;
  const names = labelled(kube);
  for (const { metadata } of gateways) {
    if (!names.includes(metadata.name ?? '')) kube.drop(RESOURCES.gateways, metadata.name ?? '', NAMESPACE);
  }
  const next = offered !== undefined && names.includes(offered) ? offered : (active ?? names[0]);
  if (next !== active) log.push(`${next} is active`);
  for (const name of names) put(kube, name, name === next ? 'active' : 'passive', reason(name));
}

function succeed(kube: FakeKube): void {
  for (const pod of kube.all<Pod>(RESOURCES.pods, NAMESPACE)) {
    const options = { namespace: NAMESPACE, patchType: 'merge', subresource: 'status' } as const;
    void kube.patch(RESOURCES.pods, pod.metadata.name ?? '', { status: { phase: 'Succeeded' } }, options);
  }
}

async function joined(reason: (name: string) => string = () => ''): Promise<World> {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  for (const name of ['w1', 'w2', 'w3']) west.seed(RESOURCES.nodes, node(name));
  west.seed(RESOURCES.leases, { metadata: { name: 'submariner-gateway-lock', namespace: NAMESPACE } });
  const log: string[] = [];
  withEngines(west, log, reason);
  const harness = new Harness({ east, west });
  expect(await harness.run('deploy-broker', '--context', 'east')).toMatchObject({ exitCode: 0 });
  expect(await harness.run(...JOIN, '--gateway-nodes', 'w1')).toMatchObject({ exitCode: 0 });
  log.length = 0;
  return { harness, west, log };
}

test('another gateway is ready and has the traffic before the former one loses its label and is cleaned', async () => {
  const { harness, west, log } = await joined();
  const outcome = await harness.run(...JOIN, '--gateway-nodes', 'w2', '--yes');
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  expect(log).toEqual(['label of w2', 'w2 is active', 'label of w1', 'cleaner']);
  expect(labelled(west)).toEqual(['w2']);
});

test('a gateway that stays and is active is not asked again', async () => {
  const { harness, west, log } = await joined();
  await harness.run(...JOIN, '--gateway-nodes', 'w1,w2');
  log.length = 0;
  await harness.run(...JOIN, '--gateway-nodes', 'w1', '--yes');
  expect(log).toEqual(['label of w2', 'cleaner']);
  expect(labelled(west)).toEqual(['w1']);
});

test('nobody loses its role before somebody agreed', async () => {
  const { harness, west } = await joined();
  const outcome = await harness.run(...JOIN, '--gateway-nodes', 'w2');
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stderr).toContain('node w1: no gateway any more');
  expect(labelled(west)).toEqual(['w1']);
});

test('as long as no other gateway is ready the former one keeps its role', async () => {
  const { harness, west } = await joined((name) => (name === 'w1' ? '' : 'no other cluster answers'));
  const outcome = await harness.run(...JOIN, '--gateway-nodes', 'w2', '--yes', '--timeout', '20s');
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stderr).toContain('waiting for one of w2 to be ready to take over: w2: no other cluster answers');
  expect(labelled(west)).toEqual(['w1', 'w2']);
});
