import { describe, expect, test } from '@jest/globals';
import {
  chooseCniAddress,
  choosePrivateIp,
  localEndpoint,
  localEndpointSpec,
  type LocalFacts,
  type PrivateIpInputs,
} from '../../src/engine/localendpoint.ts';
import { parseNodeConfig } from '../../src/engine/nodeconfig.ts';
import { parseEndpoint } from '../../src/api/validate.ts';
import { FakeCluster, World, engineConfig } from './world.ts';

const addresses = [
  { link: 'lo', address: '127.0.0.1' },
  { link: 'eth0', address: '172.31.0.11' },
  { link: 'eth1', address: '198.18.0.11' },
  { link: 'cni0', address: '10.130.1.1' },
];

describe('private_ip', () => {
  const inputs: PrivateIpInputs = {
    interfaceName: undefined,
    addresses,
    published: undefined,
    routeSources: [],
    nodeIp: undefined,
  };
  test.each<[string, Partial<PrivateIpInputs>, string]>([
    ['the configured link beats all', { interfaceName: 'eth1', published: '172.31.0.11' }, '198.18.0.11'],
    ['what was published stays', { published: '198.18.0.11', routeSources: ['172.31.0.11'] }, '198.18.0.11'],
    ['unless it is gone', { published: '198.18.0.99', routeSources: ['172.31.0.11'] }, '172.31.0.11'],
    ['the first route', { routeSources: ['198.18.0.11', '172.31.0.11'], nodeIp: '172.31.0.11' }, '198.18.0.11'],
    ['a route over loopback does not count', { routeSources: ['127.0.0.1'], nodeIp: '172.31.0.11' }, '172.31.0.11'],
    ['the node address last', { nodeIp: '172.31.0.11' }, '172.31.0.11'],
  ])('%s', (_name, over, ip) => {
    expect(choosePrivateIp({ ...inputs, ...over })).toEqual({ ip });
  });
  test.each<[string, Partial<PrivateIpInputs>, RegExp]>([
    [
      'an unknown link',
      { interfaceName: 'eth7', nodeIp: '172.31.0.11' },
      /SUBMARINER_INTERFACE=eth7: this node has no/,
    ],
    ['no route', { nodeIp: '10.9.9.9' }, /no route; see `ip route`/],
  ])('%s is a problem', (_name, over, problem) => {
    expect(choosePrivateIp({ ...inputs, ...over })).toEqual({ problem: expect.stringMatching(problem) });
  });
});

test('the CNI address is the one inside a pod CIDR', () => {
  expect(chooseCniAddress(addresses, ['10.1.0.0/16', '10.130.0.0/16'])).toBe('10.130.1.1');
  expect(chooseCniAddress(addresses, ['10.1.0.0/16'])).toBeUndefined();
});

describe('the local Endpoint', () => {
  const world = new World();
  const cluster = new FakeCluster(world, 'east', '10.130.0.0/16', '100.66.0.0/16');
  const node = world.addNode('east-1', '172.31.0.11', '10.130.1.1', '/nowhere');
  const facts = (over: Partial<LocalFacts> = {}): LocalFacts => ({
    config: engineConfig(cluster, node),
    node: parseNodeConfig({}, { udpPort: 4500 }),
    privateIp: '172.31.0.11',
    cniAddress: '10.130.1.1',
    publicIp: { ip: '', loadBalancer: false },
    backend: 'wireguard',
    driverConfig: { publicKey: 'abc=' },
    ...over,
  });

  test('has the fields of upstream and is accepted by our own parser', () => {
    const endpoint = localEndpoint(localEndpointSpec(facts()), 'submariner-operator');
    expect(endpoint).toEqual({
      apiVersion: 'submariner.io/v1',
      kind: 'Endpoint',
      metadata: { name: 'east-submariner-cable-east-172-31-0-11', namespace: 'submariner-operator' },
      spec: {
        cluster_id: 'east',
        cable_name: 'submariner-cable-east-172-31-0-11',
        healthCheckIP: '10.130.1.1',
        hostname: 'east-1',
        subnets: ['100.66.0.0/16', '10.130.0.0/16'],
        private_ip: '172.31.0.11',
        public_ip: '',
        nat_enabled: false,
        backend: 'wireguard',
        backend_config: {
          publicKey: 'abc=',
          'udp-port': '4500',
          'natt-discovery-port': '4490',
          'preferred-server': 'false',
        },
      },
    });
    expect(parseEndpoint(endpoint).problem).toBeUndefined();
  });

  test('global CIDRs stand in place of all others', () => {
    const config = { ...engineConfig(cluster, node), globalCidrs: ['242.0.0.0/16'] };
    expect(localEndpointSpec(facts({ config })).subnets).toEqual(['242.0.0.0/16']);
  });

  test('a load balancer makes this side the server; the node says more than the environment', () => {
    const publicIp = { ip: '203.0.113.7', resolver: 'lb:submariner-gateway', loadBalancer: true };
    expect(localEndpointSpec(facts({ publicIp })).backend_config).toMatchObject({
      'preferred-server': 'true',
      'using-loadbalancer': 'true',
      'public-ip': 'lb:submariner-gateway',
    });
    const config = { ...engineConfig(cluster, node), preferredServer: true };
    const said = parseNodeConfig({ labels: { 'gateway.submariner.io/preferred-server': 'false' } }, { udpPort: 4500 });
    expect(localEndpointSpec(facts({ config, node: said })).backend_config?.['preferred-server']).toBe('false');
  });

  test('no healthCheckIP without CNI address or with the health check off', () => {
    expect('healthCheckIP' in localEndpointSpec(facts({ cniAddress: undefined }))).toBe(false);
    const config = engineConfig(cluster, node);
    const off = { ...config, healthCheck: { ...config.healthCheck, enabled: false } };
    expect('healthCheckIP' in localEndpointSpec(facts({ config: off }))).toBe(false);
  });
});
