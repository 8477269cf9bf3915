import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { KubeObject } from '../../src/kube/client.ts';
import { gatherInputs, type ClusterView, type Gathered } from '../../src/routeagent/inputs.ts';
import type { HostFacts } from '../../src/routeagent/model.ts';
import { EAST_GATEWAY, EAST_NODES, WEST, endpoint, node } from './stage.ts';

const HOST: HostFacts = {
  underlay: { link: 'eth0', mtuBytes: 1500, address: '172.31.0.12' },
  cni: { link: 'cni0', address: '10.130.2.1' },
  strictLinks: [],
};
const VIEW: ClusterView = {
  clusterId: 'east',
  nodeName: 'east-2',
  podCidrs: ['10.130.0.0/16'],
  serviceCidrs: ['100.66.0.0/16'],
  endpoints: [EAST_GATEWAY, WEST],
  nodes: EAST_NODES,
};
const gather = (view: Partial<ClusterView>, host: Partial<HostFacts> = {}): Gathered =>
  gatherInputs({ ...VIEW, ...view }, { ...HOST, ...host });

describe('the gateway', () => {
  test('is found by the name of its node, at the address of the node', () => {
    const elsewhere = endpoint('east', 'east-1', '198.51.100.7', ['10.130.0.0/16']);
    expect(gather({ endpoints: [elsewhere] }).inputs.gateway).toEqual({ role: 'worker', address: '172.31.0.11' });
  });

  test('whose node is not known is reached at its private address', () => {
    expect(gather({ nodes: EAST_NODES.slice(1) }).inputs.gateway).toEqual({ role: 'worker', address: '172.31.0.11' });
  });

  test('may be this node, by name, by hostname label or by address', () => {
    expect(gather({ nodeName: 'east-1' }).inputs.gateway.role).toBe('gateway');
    const labelled = {
      ...node('ip-1', '172.31.0.12'),
      metadata: { name: 'ip-1', labels: { 'kubernetes.io/hostname': 'east-1' } },
    };
    expect(gather({ nodeName: 'ip-1', nodes: [labelled] }).inputs.gateway.role).toBe('gateway');
    const byAddress = endpoint('east', 'unknown', '172.31.0.12', ['10.130.0.0/16']);
    expect(gather({ endpoints: [byAddress] }).inputs.gateway.role).toBe('gateway');
  });

  test('is the newest one while an Endpoint of the former is still there', () => {
    const newer = endpoint('east', 'east-3', '172.31.0.13', ['10.130.0.0/16'], '2030-01-01T00:00:01Z');
    for (const endpoints of [
      [EAST_GATEWAY, newer],
      [newer, EAST_GATEWAY],
    ]) {
      expect(gather({ endpoints }).inputs.gateway).toEqual({ role: 'worker', address: '172.31.0.13' });
    }
  });

  test('may be unknown', () => {
    expect(gather({ endpoints: [WEST] }).inputs.gateway).toEqual({ role: 'no gateway known' });
  });
});

describe('remote clusters', () => {
  const verdicts = (endpoints: readonly unknown[]): readonly unknown[] =>
    gather({ endpoints }).remotes.map(({ spec, cidrs, refusal }) => [spec.cluster_id, refusal ?? cidrs]);

  test('that overlap one another: the older one stays', () => {
    const late = endpoint('a-late', 'x', '198.18.0.9', ['10.131.128.0/20', '10.140.0.0/16'], '2031-01-01T00:00:00Z');
    for (const endpoints of [
      [EAST_GATEWAY, WEST, late],
      [late, WEST, EAST_GATEWAY],
    ]) {
      expect(verdicts(endpoints)).toEqual([
        ['a-late', 'CIDRs of cluster a-late clash: 10.131.128.0/20 overlaps 10.131.0.0/16 of west'],
        ['west', ['10.131.0.0/16', '100.67.0.0/16']],
      ]);
      expect(gather({ endpoints }).inputs.remoteCidrs).toEqual(['10.131.0.0/16', '100.67.0.0/16']);
    }
  });

  test('with IPv6 too: IPv4 is carried; with IPv6 only: refused', () => {
    expect(verdicts([endpoint('dual', 'x', '198.18.0.9', ['10.140.0.0/16', 'fd00::/64'])])).toEqual([
      ['dual', ['10.140.0.0/16']],
    ]);
    expect(verdicts([endpoint('six', 'x', '198.18.0.9', ['fd00::/64'])])).toEqual([
      ['six', 'cluster six has no IPv4 CIDR; only IPv4 is carried'],
    ]);
  });

  test('whose Endpoint cannot be read are told of, the others go on', () => {
    const { problems, inputs } = gather({ endpoints: [{ metadata: { name: 'odd' }, spec: { cluster_id: 7 } }, WEST] });
    expect(problems).toEqual([expect.stringMatching(/^Endpoint odd: cluster_id is 7, not a text/)]);
    expect(inputs.remoteCidrs).toHaveLength(2);
  });

  test('written by anybody never break the gathering', () => {
    const cidr = fc.oneof(
      fc.string(),
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 33 })).map(([ip, n]) => `${ip}/${n}`),
    );
    const spec = fc.record(
      {
        cluster_id: fc.oneof(fc.constantFrom('west', 'east', 'n'), fc.anything()),
        subnets: fc.oneof(fc.array(cidr), fc.anything()),
        private_ip: fc.oneof(fc.ipV4(), fc.anything()),
        hostname: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.record({ metadata: fc.object(), spec }), fc.anything())), (endpoints) => {
        const { inputs } = gather({ endpoints: [EAST_GATEWAY, ...endpoints] as KubeObject[] });
        expect(inputs.remoteCidrs.every((text) => !text.startsWith('10.130.'))).toBe(true);
      }),
    );
  });
});

describe('what has to be told', () => {
  test('no link in the pod network', () => {
    expect(gather({}, { cni: undefined }).problems).toEqual([
      expect.stringContaining('no link has an address inside 10.130.0.0/16'),
    ]);
  });

  test.each(['0', '9000', 'x', '1300.5', ''])('annotation tcp-clamp-mss=%j makes no sense and is left out', (value) => {
    const { inputs, problems } = gather({
      nodes: [node('east-2', '172.31.0.12', { 'submariner.io/tcp-clamp-mss': value })],
    });
    expect(inputs.mssBytes).toBeUndefined();
    expect(problems).toEqual([
      `annotation submariner.io/tcp-clamp-mss=${JSON.stringify(value)} is not a size from 536 to 8960`,
    ]);
  });
});
