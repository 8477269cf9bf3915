import { expect, test } from '@jest/globals';
import {
  asChanged,
  DRIVER_CHANGE_ANNOTATION,
  nextBackendOf,
  parseChange,
  parsePendingChange,
  withNext,
  withoutNext,
} from '../../src/api/driverchange.ts';
import type { EndpointSpec } from '../../src/api/types.ts';

const SPEC: EndpointSpec = {
  cluster_id: 'east',
  cable_name: 'submariner-cable-east-172-31-0-1',
  hostname: 'gw-1',
  subnets: ['10.2.0.0/16'],
  private_ip: '172.31.0.1',
  public_ip: '',
  nat_enabled: false,
  backend: 'libreswan',
  backend_config: { 'udp-port': '4500', 'udp-port-1': '4501' },
};
const NEXT = { backend: 'wireguard', config: { publicKey: 'key', 'udp-port-1': '4502' } };

test('a gateway says beforehand all that peers need', () => {
  const announced = withNext(SPEC, NEXT);
  expect(nextBackendOf(announced)).toBe('wireguard');
  expect(announced.backend).toBe('libreswan');
  expect(asChanged(announced, 'wireguard')).toEqual({
    ...SPEC,
    backend: 'wireguard',
    backend_config: { 'udp-port': '4500', 'udp-port-1': '4502', publicKey: 'key' },
  });
});

test('the Endpoint itself says nothing of it, so that peers that do not know it see no change', () => {
  expect(withoutNext(withNext(SPEC, NEXT))).toEqual(SPEC);
  expect(withoutNext(SPEC)).toBe(SPEC);
});

test('a gateway that wants something else stays as it is', () => {
  const announced = withNext(SPEC, NEXT);
  expect(asChanged(announced, 'vxlan')).toBe(announced);
  expect(asChanged(announced, 'libreswan')).toBe(announced);
  expect(asChanged(SPEC, 'wireguard')).toBe(SPEC);
});

test.each([undefined, null, 'wireguard', {}, { backend: 1, agreed: true }, { backend: 'vxlan', agreed: 'yes' }])(
  'no announcement: %j',
  (value) => {
    expect(parseChange(value)).toBeUndefined();
  },
);

test('what is waited for is read from the Gateway, junk is nothing', () => {
  const pending = { from: 'libreswan', to: 'wireguard', announced: true, clusters: ['west'], gateways: [] };
  const read = (text: string | undefined) =>
    parsePendingChange(text === undefined ? {} : { annotations: { [DRIVER_CHANGE_ANNOTATION]: text } });
  expect(parseChange({ backend: 'vxlan', agreed: false, more: 1 })).toEqual({ backend: 'vxlan', agreed: false });
  expect(read(JSON.stringify(pending))).toEqual(pending);
  for (const text of [undefined, '', 'junk', '[]', '{"from":"a","to":"b","clusters":[1],"gateways":[]}'])
    expect(read(text)).toBeUndefined();
});
