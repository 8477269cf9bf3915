import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { cidrContains, cidrsOverlap, isIpAddress, parseCidr } from '../../src/net/cidr.ts';
import {
  clusterOf,
  isNamespaceOf,
  isPodNamespaceOf,
  nodeOf,
  plannedNamespaces,
  planSandbox,
  podNamespace,
  type SandboxPlan,
  type SandboxSize,
} from '../../src/sandbox/plan.ts';

const label = fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,6}[a-z0-9])?$/);
const size: fc.Arbitrary<SandboxSize> = fc
  .record({
    name: label,
    clusters: fc.uniqueArray(label, { minLength: 1, maxLength: 10 }),
    nodes: fc.integer({ min: 1, max: 30 }),
    gateways: fc.integer({ min: 0, max: 30 }),
  })
  .map((one) => ({ ...one, gateways: Math.min(one.gateways, one.nodes) }));

function prefixes(plan: SandboxPlan): readonly string[] {
  return [plan.wan.cidr, ...plan.clusters.flatMap((one) => [one.podCidr, one.serviceCidr, one.lanCidr])];
}

function addresses(plan: SandboxPlan): readonly string[] {
  return [
    plan.wan.router,
    ...plan.clusters.flatMap(({ router, controlPlane, nodes }) => [
      router,
      controlPlane.lanAddress,
      controlPlane.wanAddress,
      ...nodes.flatMap((node) => [node.address, node.podGateway]),
    ]),
  ];
}

function distinct(values: readonly string[]): void {
  expect(new Set(values).size).toBe(values.length);
}

describe('planSandbox', () => {
  test('gives what the documents say', () => {
    const plan = planSandbox({ name: 'demo', clusters: ['east', 'west'], nodes: 3, gateways: 1 });
    const west = clusterOf(plan, 'west');
    expect(west).toMatchObject({
      podCidr: '10.131.0.0/16',
      serviceCidr: '100.67.0.0/16',
      lanCidr: '172.32.0.0/24',
      router: '172.32.0.1',
      controlPlane: { namespace: 'sbx-demo-cp.west', lanAddress: '172.32.0.2', wanAddress: '198.18.0.12' },
    });
    expect(nodeOf(west, 'west-3')).toMatchObject({
      namespace: 'sbx-demo-node.west-3',
      address: '172.32.0.13',
      podCidr: '10.131.3.0/24',
      podGateway: '10.131.3.1',
      gateway: false,
    });
    expect(nodeOf(west, '1')).toMatchObject({ name: 'west-1', gateway: true });
    expect(plan.wan).toMatchObject({ namespace: 'sbx-demo-wan', cidr: '198.18.0.0/24' });
  });

  test('never gives a name, an address or a prefix twice', () => {
    fc.assert(
      fc.property(size, (wanted) => {
        const plan = planSandbox(wanted);
        const cidrs = prefixes(plan);
        cidrs.forEach((one, index) => {
          expect(parseCidr(one)).toBeDefined();
          expect(cidrs.slice(index + 1).filter((other) => cidrsOverlap(one, other))).toEqual([]);
        });
        distinct(addresses(plan));
        distinct(plannedNamespaces(plan));
        distinct(plan.clusters.flatMap((one) => one.nodes.map((node) => node.name)));
        const links = plan.clusters.flatMap((one) => [
          one.bridge,
          one.controlPlane.lanPort,
          one.controlPlane.wanPort,
          ...one.nodes.map((node) => node.port),
        ]);
        distinct([...links, plan.wan.bridge]);
        for (const link of links) expect(link.length).toBeLessThanOrEqual(15);
      }),
      { numRuns: 60 },
    );
  });

  test('puts every address into its network', () => {
    fc.assert(
      fc.property(size, (wanted) => {
        const plan = planSandbox(wanted);
        for (const address of addresses(plan)) expect(isIpAddress(address)).toBe(true);
        for (const one of plan.clusters) {
          expect(cidrContains(plan.wan.cidr, one.controlPlane.wanAddress)).toBe(true);
          expect(cidrContains(one.lanCidr, one.controlPlane.lanAddress)).toBe(true);
          expect(one.nodes.filter((node) => node.gateway)).toHaveLength(wanted.gateways);
          for (const node of one.nodes) {
            expect(cidrContains(one.lanCidr, node.address)).toBe(true);
            expect(cidrContains(one.podCidr, node.podCidr)).toBe(true);
            expect(cidrContains(node.podCidr, node.podGateway)).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('knows its own namespaces and nobody else’s', () => {
    fc.assert(
      fc.property(size, label, (wanted, other) => {
        fc.pre(other !== wanted.name);
        const plan = planSandbox(wanted);
        const pods = plan.clusters.flatMap((one) => one.nodes.map((node) => podNamespace(plan.name, node.name, 'k')));
        for (const namespace of [...plannedNamespaces(plan), ...pods]) {
          expect(isNamespaceOf(wanted.name, namespace)).toBe(true);
          expect(isNamespaceOf(other, namespace)).toBe(false);
        }
      }),
    );
    expect(isNamespaceOf('a', 'sbx-a-wan')).toBe(true);
    expect(isNamespaceOf('a', 'sbx-a-wan-wan')).toBe(false);
    expect(isNamespaceOf('a', 'sbx-a-b-node.east-1')).toBe(false);
    expect(isPodNamespaceOf('a', 'east-1', podNamespace('a', 'east-1', 'x'))).toBe(true);
    expect(isPodNamespaceOf('a', 'east-1', podNamespace('a', 'east-11', 'x'))).toBe(false);
  });

  test.each([
    [{ name: 'Demo' }, 'its name'],
    [{ clusters: [] }, '1 to 60 clusters'],
    [{ clusters: ['east', 'east'] }, 'two clusters'],
    [{ clusters: ['ea.st'] }, 'cluster name "ea.st"'],
    [{ nodes: 0 }, '1 to 200 nodes'],
    [{ gateways: 4 }, '4 gateways do not fit on 3 nodes'],
  ])('refuses %j', (wrong, message) => {
    const good = { name: 'demo', clusters: ['east'], nodes: 3, gateways: 1 };
    expect(() => planSandbox({ ...good, ...wrong })).toThrow(message);
  });

  test('names what there is when asked for something else', () => {
    const plan = planSandbox({ name: 'demo', clusters: ['east', 'west'], nodes: 2, gateways: 1 });
    expect(() => clusterOf(plan, 'north')).toThrow(expect.objectContaining({ hint: 'It has: east, west.' }));
    expect(() => nodeOf(clusterOf(plan, 'east'), 'east-3')).toThrow(
      expect.objectContaining({ hint: 'It has: east-1, east-2.' }),
    );
  });
});
