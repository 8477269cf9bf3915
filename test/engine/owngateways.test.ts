import { expect, test } from '@jest/globals';
import { AVAILABILITY_ANNOTATION } from '../../src/api/availability.ts';
import { GATEWAYS_ANNOTATION, renderGateways } from '../../src/api/gateways.ts';
import type { Endpoint, EndpointSpec, Gateway } from '../../src/api/types.ts';
import { announcementOf, presentGateways } from '../../src/engine/owngateways.ts';

function spec(n: number, over: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    cluster_id: 'east',
    cable_name: `submariner-cable-east-172-31-0-${n}`,
    hostname: `gw${n}`,
    subnets: ['10.2.0.0/16'],
    private_ip: `172.31.0.${n}`,
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
    ...over,
  };
}

function endpoint(n: number, createdAt: string, term?: number): Endpoint {
  const gateways = [{ slot: 0, spec: spec(n) }];
  const annotations = term === undefined ? {} : { [GATEWAYS_ANNOTATION]: renderGateways({ term, gateways }) };
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Endpoint',
    metadata: { name: `east-${n}`, creationTimestamp: createdAt, annotations },
    spec: spec(n),
  };
}

function gateway(n: number, slots: number | undefined, over: Partial<EndpointSpec> = {}): Gateway {
  const said = JSON.stringify({ ready: true, reason: '', since: '', slots, cables: [] });
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: { name: `gw${n}`, annotations: slots === undefined ? {} : { [AVAILABILITY_ANNOTATION]: said } },
    status: { version: '', haStatus: 'passive', localEndpoint: spec(n, over), statusFailure: '', connections: [] },
  };
}

test('the newest Endpoint of the cluster speaks for it; terms count before times', () => {
  const at = '2030-01-01T00:00:0';
  const list = [endpoint(1, `${at}1Z`, 8), endpoint(2, `${at}2Z`, 7), { spec: spec(3, { cluster_id: 'west' }) }];
  expect(announcementOf(list, 'east')).toMatchObject({ hostname: 'gw1', announced: { term: 8 } });
  expect(announcementOf(list.toReversed(), 'east')?.hostname).toBe('gw1');
  expect(announcementOf([endpoint(1, `${at}1Z`), endpoint(2, `${at}2Z`, 3)], 'east')?.hostname).toBe('gw2');
  expect(announcementOf([{ junk: true }], 'east')).toBeUndefined();
});

test('present are this gateway and those that can stand by', () => {
  const others = [
    gateway(1, 2),
    gateway(2, 2),
    gateway(3, 0),
    gateway(4, undefined),
    gateway(5, 2, { backend: 'wireguard' }),
    gateway(6, 2, { private_ip: 'junk' }),
  ];
  const { specs, problems } = presentGateways(spec(1), others);
  expect(specs.map(({ hostname }) => hostname)).toEqual(['gw1', 'gw2']);
  expect(problems).toEqual([]);
});

test('gateways with one address: none of them stands by, and it is said', () => {
  const { specs, problems } = presentGateways(spec(1), [gateway(2, 2, { private_ip: '172.31.0.1' }), gateway(3, 2)]);
  expect(specs.map(({ hostname }) => hostname)).toEqual(['gw1', 'gw3']);
  expect(problems).toEqual(['gateways gw1 and gw2 have one address, 172.31.0.1']);
});
