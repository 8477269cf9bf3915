import { expect, test } from '@jest/globals';
import { DRIVER_CHANGE_ANNOTATION, type PendingChange } from '../../../src/api/driverchange.ts';
import { GATEWAYS_ANNOTATION, renderGateways, type ClusterGateways } from '../../../src/api/gateways.ts';
import type { Endpoint, EndpointSpec, Gateway } from '../../../src/api/types.ts';
import { plannedChange } from '../../../src/commands/join/driverchange.ts';
import type { KubeObject } from '../../../src/kube/client.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { endpointSpec } from '../harness.ts';
import { good, JOIN, world } from '../upgrade/daemons.ts';

const BROKER = 'submariner-k8s-broker';
const LOCAL = 'submariner-operator';

function endpoint(
  id: string,
  { backend = 'libreswan', ours = true, next }: { backend?: string; ours?: boolean; next?: string } = {},
): Endpoint {
  const spec = { ...endpointSpec(id, '10.0.0.1'), backend } as unknown as EndpointSpec;
  const change = next === undefined ? {} : { change: { backend: next, agreed: false } };
  const gateways: ClusterGateways = { term: 1, gateways: [{ slot: 0, spec }], ...change };
  const annotations = ours ? { [GATEWAYS_ANNOTATION]: renderGateways(gateways) } : {};
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Endpoint',
    metadata: { name: `${id}-cable`, namespace: BROKER, annotations },
    spec,
  };
}

test('what a join with another driver waits for', () => {
  const endpoints = [
    endpoint('west'),
    endpoint('north'),
    endpoint('east', { next: 'wireguard' }),
    endpoint('south', { backend: 'wireguard' }),
    endpoint('far', { backend: 'vxlan' }),
    endpoint('upstream', { ours: false }),
  ];
  const planned = (to: string, id = 'west') => plannedChange({ endpoints }, id, to);
  expect(planned('wireguard')).toEqual({
    from: 'libreswan',
    to: 'wireguard',
    awaited: ['north', 'upstream'],
    foreign: ['upstream'],
  });
  expect(planned('libreswan')).toBeUndefined();
  expect(planned('wireguard', 'new')).toBeUndefined();
});

test('join says that the driver changes later, waits until that is announced, and tells how to go on', async () => {
  const { harness, west } = await world();
  const broker = harness.clusters.get('east')!;
  for (const id of ['east', 'west']) broker.seed(RESOURCES.endpoints, endpoint(id));
  const pending = (over: Partial<PendingChange>): void => {
    const change = { from: 'libreswan', to: 'wireguard', announced: false, clusters: ['east'], gateways: [], ...over };
    for (const gateway of west.all<Gateway & KubeObject>(RESOURCES.gateways)) {
      const annotations = { ...gateway.metadata.annotations, [DRIVER_CHANGE_ANNOTATION]: JSON.stringify(change) };
      west.drop(RESOURCES.gateways, gateway.metadata.name ?? '', LOCAL);
      west.seed(RESOURCES.gateways, { ...gateway, metadata: { ...gateway.metadata, annotations } });
    }
  };
  let looks = 0;
  const plain = west.onCall;
  west.onCall = (call) => {
    const answer = plain?.(call);
    if (call.resource !== 'gateways' || call.verb !== 'list') return answer;
    looks += 1;
    pending({ announced: looks > 20 });
    return answer;
  };
  const { stdout, stderr } = good(await harness.run(...JOIN, '--yes', '--cable-driver', 'wireguard', '-o', 'json'));
  expect(stderr).toContain('stays libreswan until east joined with --cable-driver wireguard too');
  expect(stderr).toContain('The cable driver wireguard is announced');
  expect(stderr).toContain(
    'subctl join broker-info.subm --cable-driver wireguard --context CONTEXT    (of cluster east)',
  );
  expect(JSON.parse(stdout)).toMatchObject({ awaitedClusters: ['east'] });
  expect(looks).toBeGreaterThan(20);
  expect(west.all(RESOURCES.gateways).every(({ metadata }) => metadata.namespace === LOCAL)).toBe(true);
});
