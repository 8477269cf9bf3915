import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GATEWAYS_ANNOTATION, parseGateways, renderGateways, type ClusterGateways } from '../../src/api/gateways.ts';
import type { Endpoint, EndpointSpec } from '../../src/api/types.ts';

function spec(n: number): EndpointSpec {
  return {
    cluster_id: 'east',
    cable_name: `submariner-cable-east-172-31-0-${n}`,
    hostname: `gw${n}`,
    subnets: ['100.66.0.0/16', '10.2.0.0/16'],
    private_ip: `172.31.0.${n}`,
    public_ip: '',
    nat_enabled: false,
    backend: 'wireguard',
    backend_config: { 'udp-port': '4500', 'udp-port-1': '4501', publicKey: `key${n}` },
    healthCheckIP: `10.2.${n}.1`,
  };
}

function endpoint(annotation: string | undefined): Endpoint {
  const annotations = annotation === undefined ? {} : { [GATEWAYS_ANNOTATION]: annotation };
  return { apiVersion: 'submariner.io/v1', kind: 'Endpoint', metadata: { name: 'e', annotations }, spec: spec(1) };
}

const BOTH: ClusterGateways = {
  term: 7,
  gateways: [
    { slot: 0, spec: spec(2) },
    { slot: 1, spec: spec(1) },
  ],
};

test('what is rendered is read again, in the order of slots', () => {
  const text = renderGateways({ ...BOTH, gateways: BOTH.gateways.toReversed() });
  expect(text).toBe(renderGateways(BOTH));
  expect(parseGateways(endpoint(text))).toEqual(BOTH);
});

test('without the annotation nothing is known', () => {
  expect(parseGateways(endpoint(undefined))).toBeUndefined();
});

test.each([
  ['no JSON', '{'],
  ['no list', '{"term":1}'],
  ['a term that is no number', renderGateways(BOTH).replace('"term":7', '"term":"7"')],
  ['a slot twice', renderGateways({ ...BOTH, gateways: BOTH.gateways.map((item) => ({ ...item, slot: 0 })) })],
  ['a slot there is not', renderGateways(BOTH).replace('"slot":1', '"slot":2')],
  ['a gateway that does not parse', renderGateways(BOTH).replace('"private_ip":"172.31.0.2"', '"private_ip":"x"')],
  ['the active one missing', renderGateways({ ...BOTH, gateways: BOTH.gateways.slice(0, 1) })],
])('%s: not relied on', (_, text) => {
  expect(parseGateways(endpoint(text))).toBeUndefined();
});

test('any text: never throws', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      parseGateways(endpoint(text));
    }),
  );
});
