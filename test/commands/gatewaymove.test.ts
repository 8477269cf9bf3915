import { beforeEach, expect, test } from '@jest/globals';
import { AVAILABILITY_ANNOTATION } from '../../src/api/availability.ts';
import type { Gateway } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { OFFER_ANNOTATION } from '../../src/kube/leaserules.ts';
import type { Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube, type FakeCall } from '../fakes/kube.ts';
import { endpointSpec, Harness } from './harness.ts';

const NAMESPACE = 'submariner-operator';
let kube: FakeKube;
let harness: Harness;

function put(node: string, haStatus: string, reason: string | null = ''): void {
  const said = JSON.stringify({ ready: reason === '', reason, since: '', slots: 2, cables: [] });
  const annotations = reason === null ? {} : { [AVAILABILITY_ANNOTATION]: said };
  kube.drop(RESOURCES.gateways, node, NAMESPACE);
  kube.seed(RESOURCES.gateways, {
    metadata: { name: node, namespace: NAMESPACE, annotations },
    status: {
      version: '',
      haStatus,
      statusFailure: '',
      localEndpoint: { ...endpointSpec('east', '10.0.0.1'), hostname: node },
      connections: [],
    },
  } as unknown as Gateway & KubeObject);
}

const offer = (): string | undefined =>
  kube.all<Lease>(RESOURCES.leases, NAMESPACE)[0]?.metadata.annotations?.[OFFER_ANNOTATION];

/** The engine of the node takes the lease as soon as it is offered. */
function obey(to: string, from: string): void {
  kube.onCall = ({ verb, resource }: FakeCall) => {
    if (verb === 'list' && resource === 'gateways' && offer() === `${to}-submariner-gateway`) {
      put(from, 'passive');
      put(to, 'active');
    }
    return undefined;
  };
}

beforeEach(() => {
  kube = new FakeKube([], 'https://east:6443');
  harness = new Harness({ east: kube });
  kube.seed(RESOURCES.leases, { metadata: { name: 'submariner-gateway-lock', namespace: NAMESPACE } });
  put('east-1', 'active');
  put('east-2', 'passive');
});

test('a standby that is ready is asked to take over, and waited for', async () => {
  obey('east-2', 'east-1');
  const outcome = await harness.run('gateway', 'move', '--to', 'east-2', '-o', 'json');
  expect(outcome.exitCode).toBe(0);
  expect(JSON.parse(outcome.stdout)).toEqual({ from: 'east-1', to: 'east-2', moved: true });
});

test('without --to the standby that is ready is taken', async () => {
  put('east-3', 'passive', 'no other cluster answers');
  obey('east-2', 'east-1');
  const outcome = await harness.run('gateway', 'move');
  expect([outcome.exitCode, offer()]).toEqual([0, 'east-2-submariner-gateway']);
});

test('the active gateway needs no move', async () => {
  const outcome = await harness.run('gateway', 'move', '--to', 'east-1');
  expect(outcome.stderr).toContain('east-1 is the active gateway already');
  expect([outcome.exitCode, offer()]).toEqual([0, undefined]);
});

test.each([
  ['a node that is no gateway', 'east-9', 'east-9 is no gateway of cluster east; its gateways are east-1, east-2'],
  ['one that is not ready', 'east-3', 'east-3 is not ready to be the active gateway: no other cluster answers'],
  ['one that is not ours', 'east-4', 'its engine does not know how to take over'],
])('%s is refused, and nothing is changed', async (_, node, message) => {
  if (node === 'east-3') put('east-3', 'passive', 'no other cluster answers');
  if (node === 'east-4') put('east-4', 'passive', null);
  const outcome = await harness.run('gateway', 'move', '--to', node);
  expect(outcome.stderr).toContain(message);
  expect([outcome.exitCode, offer()]).toEqual([1, undefined]);
});

test('without a standby it says so', async () => {
  kube.drop(RESOURCES.gateways, 'east-2', NAMESPACE);
  const outcome = await harness.run('gateway', 'move');
  expect(outcome.stderr).toContain('no standby gateway that is ready: there is only the active one');
  expect(outcome.exitCode).toBe(1);
});

test('a standby that does not follow: the order is taken back', async () => {
  const outcome = await harness.run('gateway', 'move', '--to', 'east-2', '--timeout', '5s');
  expect(outcome.stderr).toContain('gave up after 5.0s waiting for east-2 to be the active gateway: active: east-1');
  expect([outcome.exitCode, offer()]).toEqual([1, undefined]);
});
