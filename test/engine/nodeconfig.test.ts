import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseNodeConfig, parsePort } from '../../src/engine/nodeconfig.ts';

const prefix = 'gateway.submariner.io/';

test('nothing said: the defaults', () => {
  expect(parseNodeConfig({ labels: { 'submariner.io/gateway': 'true' } }, { udpPort: 4501 })).toEqual({
    udpPort: 4501,
    nattDiscoveryPort: 4490,
    publicIp: undefined,
    preferredServer: undefined,
    mistakes: [],
    unknownKeys: [],
  });
});

test('the annotation beats the label', () => {
  const node = {
    labels: { [`${prefix}udp-port`]: '5000', [`${prefix}preferred-server`]: 'true' },
    annotations: {
      [`${prefix}udp-port`]: '6000',
      [`${prefix}natt-discovery-port`]: '6001',
      [`${prefix}public-ip`]: 'ipv4:1.2.3.4',
    },
  };
  expect(parseNodeConfig(node, { udpPort: 4500 })).toMatchObject({
    udpPort: 6000,
    nattDiscoveryPort: 6001,
    publicIp: 'ipv4:1.2.3.4',
    preferredServer: true,
  });
});

test('wrong values are named and replaced by the default, unknown keys are only told', () => {
  const node = {
    annotations: { [`${prefix}udp-port`]: '0', [`${prefix}preferred-server`]: 'yes', [`${prefix}colour`]: 'blue' },
  };
  expect(parseNodeConfig(node, { udpPort: 4500 })).toMatchObject({
    udpPort: 4500,
    preferredServer: undefined,
    mistakes: [
      'gateway.submariner.io/udp-port=0 of this node is not a port (1-65535)',
      'gateway.submariner.io/preferred-server=yes of this node is not true or false',
    ],
    unknownKeys: ['gateway.submariner.io/colour'],
  });
});

test('ports are decimal numbers from 1 to 65535', () => {
  expect(['1', '65535', '04500'].map(parsePort)).toEqual([1, 65_535, 4500]);
  expect(['', '0', '65536', '-1', '1e3', '0x10', ' 1', '4.5'].map(parsePort)).toEqual(Array(8).fill(undefined));
  fc.assert(
    fc.property(fc.string(), (text) => {
      const port = parsePort(text);
      return port === undefined || (port >= 1 && port <= 65_535);
    }),
  );
});
