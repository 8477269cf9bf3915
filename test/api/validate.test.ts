import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { clusterIdProblem, sanitizeClusterId } from '../../src/api/clusterid.ts';
import { formatGoDuration, parseGoDuration } from '../../src/api/duration.ts';
import { overlapProblem, ownershipProblem, parseCluster, parseEndpoint } from '../../src/api/validate.ts';

const spec = {
  cluster_id: 'east',
  cable_name: 'submariner-cable-east-10-0-0-5',
  healthCheckIP: '10.130.0.1',
  hostname: 'node-1',
  subnets: ['100.66.0.0/16', '10.130.7.7/16'],
  private_ip: '10.0.0.5',
  public_ip: '',
  nat_enabled: true,
  backend: 'libreswan',
  backend_config: { 'udp-port': '4500' },
};
const endpoint = (change: object = {}, label = 'east'): unknown => ({
  metadata: { name: 'e', labels: { 'submariner-io/clusterID': label } },
  spec: { ...spec, ...change },
});

describe('parseEndpoint', () => {
  test('gives the Endpoint with CIDRs in canonical form', () => {
    const { endpoint: parsed } = parseEndpoint(endpoint()) as { endpoint: { spec: unknown; kind: string } };
    expect(parsed.kind).toBe('Endpoint');
    expect(parsed.spec).toEqual({ ...spec, subnets: ['100.66.0.0/16', '10.130.0.0/16'] });
  });

  test.each([
    [{ subnets: ['10.0.0.0/33', 'x'] }, 'Endpoint e: subnets holds what is no CIDR: "10.0.0.0/33", "x"'],
    [{ subnets: [] }, 'subnets is empty'],
    [{ subnets: 'x' }, 'subnets is "x", not a list'],
    [{ subnets: undefined }, 'subnets is empty'],
    [{ hostname: undefined }, 'hostname is missing'],
    [{ cable_name: 7 }, 'cable_name is 7, not a text'],
    [{ private_ip: '10.0.0.256' }, 'private_ip is "10.0.0.256", not an IP address'],
    [{ private_ip: '' }, 'private_ip and public_ip are both empty'],
    [{ healthCheckIP: 'no' }, 'healthCheckIP is "no"'],
    [{ backend: '' }, 'backend is missing'],
    [{ backend_config: { a: 1 } }, 'backend_config holds what is no text: a'],
    [{ backend_config: [] }, 'backend_config is [], not a map'],
    [{ cluster_id: 'west' }, 'its label submariner-io/clusterID says cluster "east", its spec.cluster_id "west"'],
  ])('%j: %s', (change, problem) => {
    expect(parseEndpoint(endpoint(change)).problem).toContain(problem);
  });

  test('names every mistake at once', () => {
    const { problem } = parseEndpoint({ metadata: { name: 'e' }, spec: { cluster_id: 'E_', subnets: ['x'] } });
    for (const part of ['cluster ID "E_"', 'cable_name', 'hostname', 'backend', 'subnets', 'both empty']) {
      expect(problem).toContain(part);
    }
  });

  test('an Endpoint without label, without public_ip and with null backend_config is fine', () => {
    const { public_ip: _dropped, ...rest } = spec;
    const { problem, ...parsed } = parseEndpoint({ metadata: {}, spec: { ...rest, backend_config: null } });
    expect(problem).toBeUndefined();
    expect(parsed).toMatchObject({ endpoint: { spec: { public_ip: '' } } });
  });

  test('never throws, and what it accepts has only real CIDRs', () => {
    const field = fc.constantFrom(...Object.keys(spec));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fc.dictionary(field, fc.anything()).map((change) => endpoint(change)),
        ),
        (value) => {
          const result = parseEndpoint(value);
          if (result.problem !== undefined) return;
          for (const cidr of result.endpoint.spec.subnets) expect(cidr).toMatch(/^[0-9a-f.:]+\/\d+$/);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('parseCluster', () => {
  const cluster = {
    cluster_id: 'east',
    service_cidr: ['100.66.0.0/16'],
    cluster_cidr: ['10.130.0.0/16'],
    global_cidr: null,
  };
  test('reads null as an empty list and refuses junk', () => {
    expect(parseCluster({ metadata: { name: 'east' }, spec: cluster })).toMatchObject({
      cluster: { spec: { ...cluster, global_cidr: [] } },
    });
    expect(parseCluster({ spec: { ...cluster, cluster_cidr: [7] } }).problem).toBe(
      'Cluster: cluster_cidr holds what is no CIDR: 7',
    );
    fc.assert(fc.property(fc.anything(), (value) => void parseCluster(value)));
    fc.assert(fc.property(fc.anything(), (value) => void ownershipProblem(value)));
  });
});

describe('overlapProblem', () => {
  const local = { clusterId: 'east', cidrs: ['10.130.0.0/16', '100.66.0.0/16', 'fd00::/48'] };
  test('names both sides of each clash', () => {
    expect(overlapProblem({ clusterId: 'west', cidrs: ['10.131.0.0/16'] }, local)).toBeUndefined();
    expect(overlapProblem({ clusterId: 'west', cidrs: ['10.0.0.0/8', '100.66.7.0/24'] }, local)).toBe(
      'CIDRs of cluster west clash: 10.0.0.0/8 overlaps 10.130.0.0/16 of east, 100.66.7.0/24 overlaps 100.66.0.0/16 of east',
    );
  });
});

describe('cluster ID', () => {
  test.each([
    ['East', 'east'],
    ['admin@my cluster!', 'admin-my-cluster0'],
    ['-a-', '0a0'],
    ['kind_west', 'kind-west'],
    ['', ''],
  ])('%j becomes %j', (text, id) => expect(sanitizeClusterId(text)).toBe(id));

  test('whatever it is made of, a made ID is valid', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100 }), (text) => {
        expect(clusterIdProblem(sanitizeClusterId(text))).toBeUndefined();
      }),
    );
  });

  test.each([
    ['', 'must not be empty'],
    ['a'.repeat(64), 'longer than 63'],
    ['East', 'for example east'],
    ['a.b', 'for example a-b'],
    ['-a', 'for example 0a'],
  ])('%j: %s', (id, problem) => expect(clusterIdProblem(id)).toContain(problem));

  test.each(['a', '0', 'east-1', 'a'.repeat(63)])('%s is fine', (id) => expect(clusterIdProblem(id)).toBeUndefined());
});

describe('Go durations', () => {
  test.each([
    [0, '0s'],
    [1.2345, '1.2345ms'],
    [0.000001, '1ns'],
    [0.0015, '1.5µs'],
    [999.999999, '999.999999ms'],
    [1000, '1s'],
    [90_500, '1m30.5s'],
    [3_600_000, '1h0m0s'],
    [-1500, '-1.5s'],
    [Number.NaN, '0s'],
  ])('%p ms is %s', (ms, text) => {
    expect(formatGoDuration(ms)).toBe(text);
    if (!Number.isNaN(ms)) expect(parseGoDuration(text)).toBeCloseTo(ms, 9);
  });

  test('what is written can be read, to the nanosecond', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e15, max: 1e15 }), (ns) => {
        expect(Math.round((parseGoDuration(formatGoDuration(ns / 1e6)) ?? Number.NaN) * 1e6)).toBe(
          Math.round((ns / 1e6) * 1e6),
        );
      }),
    );
  });

  test.each(['', 's', '1', '1x', '1 s', '--1s', '1h-1m', 'Infinity'])('%j is none', (text) => {
    expect(parseGoDuration(text)).toBeUndefined();
  });
});
