import { describe, expect, test } from '@jest/globals';
import type { Node } from '../../../src/kube/objects.ts';
import { nodeConfig } from '../../../src/sandbox/node/config.ts';
import { masqueradeScript } from '../../../src/sandbox/node/masquerade.ts';
import { nodeLease, nodeObject, nodeStatus } from '../../../src/sandbox/node/registration.ts';
import { desiredRoutes } from '../../../src/sandbox/node/routes.ts';
import { planSandbox } from '../../../src/sandbox/plan.ts';

const plan = planSandbox({ name: 'demo', clusters: ['east'], nodes: 3, gateways: 1 });
const config = nodeConfig(plan, 'east', 'east-2', {
  server: 'https://172.31.0.2:6443',
  caFile: '/ca',
  token: 't',
  nodeDir: '/state/nodes/east-2',
  images: {},
  labels: { zone: 'a' },
});

describe('a node', () => {
  test('has the addresses and prefixes of its plan, and the labels everybody expects', () => {
    expect(nodeObject(config)).toMatchObject({
      metadata: {
        name: 'east-2',
        labels: { 'kubernetes.io/hostname': 'east-2', 'kubernetes.io/os': 'linux', zone: 'a' },
      },
      spec: { podCIDR: '10.130.2.0/24', podCIDRs: ['10.130.2.0/24'] },
    });
    expect(nodeStatus(config, 'v1.36.0', undefined, '2030-01-01T00:00:00Z').addresses).toEqual([
      { type: 'InternalIP', address: '172.31.0.12' },
      { type: 'Hostname', address: 'east-2' },
    ]);
  });

  test('keeps the time of a condition that has not changed', () => {
    const first = nodeStatus(config, 'v1.36.0', undefined, '2030-01-01T00:00:00Z');
    const conditions = (first.conditions ?? []).map((one) =>
      one.type === 'Ready' ? ({ ...one, status: 'Unknown' } as const) : one,
    );
    const before: Node = { metadata: { name: 'east-2' }, status: { conditions } };
    const second = nodeStatus(config, 'v1.36.0', before, '2030-01-01T00:10:00Z');
    const times = Object.fromEntries((second.conditions ?? []).map((one) => [one.type, one.lastTransitionTime]));
    expect(times).toMatchObject({ Ready: '2030-01-01T00:10:00Z', DiskPressure: '2030-01-01T00:00:00Z' });
  });

  test('renews its Lease with a MicroTime', () => {
    expect(nodeLease(config, Date.UTC(2030, 0, 1)).spec).toMatchObject({
      holderIdentity: 'east-2',
      renewTime: '2030-01-01T00:00:00.000000Z',
    });
  });
});

test('routes lead to the pods of all other nodes that have said where they are', () => {
  const node = (name: string, podCIDR: string | undefined, address?: string): Node => ({
    metadata: { name },
    spec: podCIDR === undefined ? {} : { podCIDR },
    status: address === undefined ? {} : { addresses: [{ type: 'InternalIP', address }] },
  });
  const nodes = [
    node('east-1', '10.130.1.0/24', '172.31.0.11'),
    node('east-2', '10.130.2.0/24', '172.31.0.12'),
    node('east-3', '10.130.3.0/24'),
    node('east-4', undefined, '172.31.0.14'),
    node('east-5', 'junk', '172.31.0.15'),
  ];
  expect(desiredRoutes(config, nodes).routes).toEqual([
    { destination: '10.130.1.0/24', table: 254, link: 'eth0', via: '172.31.0.11' },
  ]);
});

test('masquerading follows flannel’s rules, in its order', () => {
  const rules = masqueradeScript(config)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('ip '));
  expect(rules).toEqual([
    'ip saddr 10.130.2.0/24 ip daddr 10.130.0.0/16 return',
    'ip saddr 10.130.0.0/16 ip daddr 10.130.2.0/24 return',
    'ip saddr != 10.130.0.0/16 ip daddr 10.130.2.0/24 return',
    'ip saddr 10.130.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random',
    'ip saddr != 10.130.0.0/16 ip daddr 10.130.0.0/16 masquerade fully-random',
  ]);
});
