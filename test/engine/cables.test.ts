import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { EndpointSpec } from '../../src/api/types.ts';
import { judgeRemotes } from '../../src/engine/cables.ts';
import { desiredCables, type CableContext } from '../../src/engine/desiredcables.ts';
import type { Decision } from '../../src/engine/natdiscovery/discovery.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { cidrsOverlap } from '../../src/net/cidr.ts';

function spec(id: string, number: number, over: Partial<EndpointSpec> = {}): EndpointSpec {
  return {
    cluster_id: id,
    cable_name: `submariner-cable-${id}-172-31-${number}-11`,
    healthCheckIP: `10.${number}.1.1`,
    hostname: `${id}-1`,
    subnets: [`100.${64 + (number % 64)}.0.0/16`, `10.${number}.0.0/16`],
    private_ip: `172.31.${number}.11`,
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
    backend_config: { 'udp-port': '4501', 'natt-discovery-port': '4490' },
    ...over,
  };
}

const local = spec('local', 1, { private_ip: '172.30.0.11' });

function object(content: unknown, createdAt = '2030-01-01T00:00:00Z', name = 'endpoint'): KubeObject {
  const { cluster_id } = content as { cluster_id?: string };
  return {
    metadata: { name, creationTimestamp: createdAt, labels: { 'submariner-io/clusterID': cluster_id ?? 'x' } },
    spec: content,
  } as KubeObject;
}

function problems(...objects: readonly KubeObject[]): readonly string[] {
  return judgeRemotes(objects, local).problems.map(({ message }) => message);
}

const found = (over: Partial<Decision> = {}): Decision => ({
  usingIp: '172.31.2.11',
  usingNat: false,
  origin: 'private',
  ...over,
});

describe('remote Endpoints', () => {
  test('a good one is accepted; the own cluster is left out, also other gateways of it', () => {
    const remotes = judgeRemotes([object(spec('east', 2)), object(local), object(spec('local', 9))], local);
    expect(remotes.accepted.map(({ spec: { cluster_id } }) => cluster_id)).toEqual(['east']);
    expect(remotes.problems).toEqual([]);
    expect(remotes.guardedCidrs).toEqual(['10.2.0.0/16', '100.66.0.0/16']);
    expect(remotes.accepted[0]!.peer).toEqual({
      cableName: 'submariner-cable-east-172-31-2-11',
      clusterId: 'east',
      privateIp: '172.31.2.11',
      publicIp: '',
      natEnabled: false,
      usingLoadBalancer: false,
      port: 4490,
    });
  });

  test('of two Endpoints of one cluster the newest counts', () => {
    const old = object(spec('east', 2), '2030-01-01T00:00:00Z', 'a');
    const moved = object(spec('east', 2, { cable_name: 'moved' }), '2030-01-01T00:00:09Z', 'b');
    for (const list of [
      [old, moved],
      [moved, old],
    ])
      expect(judgeRemotes(list, local).accepted.map(({ spec: { cable_name } }) => cable_name)).toEqual(['moved']);
  });

  test.each<[string, unknown, RegExp]>([
    [
      'another driver',
      spec('east', 2, { backend: 'wireguard' }),
      /uses cable driver wireguard, this cluster uses vxlan/,
    ],
    [
      'overlap with this cluster',
      spec('east', 2, { subnets: ['10.1.64.0/18'] }),
      /10\.1\.64\.0\/18 overlaps 10\.1\.0\.0\/16 of this cluster/,
    ],
    ['everything', spec('east', 2, { subnets: ['0.0.0.0/0'] }), /0\.0\.0\.0\/0 overlaps/],
    [
      'the address of this gateway',
      spec('east', 2, { subnets: ['172.30.0.0/16'] }),
      /its 172\.30\.0\.0\/16 overlaps 172\.30\.0\.11\/32 of this gateway/,
    ],
    ['a bad port', spec('east', 2, { backend_config: { 'udp-port': '99999' } }), /its udp-port "99999" is not a port/],
    ['a bad CIDR', spec('east', 2, { subnets: ['10.2.0.0/99'] }), /10\.2\.0\.0\/99/],
    ['no addresses', spec('east', 2, { private_ip: '' }), /private_ip and public_ip are both empty/],
    ['nothing in it', {}, /cluster_id is missing/],
    ['texts for lists', { ...spec('east', 2), subnets: '10.2.0.0/16' }, /subnets is/],
  ])('%s is refused with the reason', (_name, content, reason) => {
    const remotes = judgeRemotes([object(content)], local);
    expect(remotes.accepted).toEqual([]);
    expect(remotes.problems).toHaveLength(1);
    expect(remotes.problems[0]!.message).toMatch(reason);
  });

  test('the label and the spec must name the same cluster', () => {
    const liar = {
      ...object(spec('east', 2)),
      metadata: { name: 'e', labels: { 'submariner-io/clusterID': 'north' } },
    };
    expect(problems(liar)[0]).toMatch(/label .* says cluster "north", its spec.cluster_id "east"/);
  });

  test('of two clusters that overlap the one known longer keeps its CIDRs', () => {
    const first = object(spec('zulu', 2), '2030-01-01T00:00:00Z');
    const second = object(spec('alpha', 3, { subnets: ['10.2.128.0/17'] }), '2030-01-01T00:00:05Z');
    const remotes = judgeRemotes([second, first], local);
    expect(remotes.accepted.map(({ spec: { cluster_id } }) => cluster_id)).toEqual(['zulu']);
    expect(remotes.problems[0]!.message).toBe('its 10.2.128.0/17 overlaps 10.2.0.0/16 of cluster zulu');
  });

  test('a cable name that another cluster has is refused', () => {
    const taken = spec('north', 3, { cable_name: spec('east', 2).cable_name });
    expect(problems(object(spec('east', 2)), object(taken, '2031-01-01T00:00:00Z'))).toEqual([
      'has the cable name of cluster east',
    ]);
  });

  test('clusters that get no cable are guarded all the same, but never what is local', () => {
    const other = spec('east', 2, { backend: 'wireguard' });
    const overlapping = spec('north', 3, { subnets: ['10.1.0.0/24', '10.3.0.0/16'] });
    const remotes = judgeRemotes([object(other), object(overlapping)], local);
    expect(remotes.guardedCidrs).toEqual(['10.2.0.0/16', '10.3.0.0/16', '100.66.0.0/16']);
  });

  test('an unusable one can be shown: all fields the schema asks for', () => {
    const { spec: shown } = judgeRemotes(
      [object({ cluster_id: 'east', subnets: [1, '10.2.0.0/99'], private_ip: 5 })],
      local,
    ).problems[0]!;
    expect(shown).toEqual({
      cluster_id: 'east',
      cable_name: 'endpoint',
      hostname: '',
      subnets: ['10.2.0.0/99'],
      private_ip: '',
      public_ip: '',
      nat_enabled: false,
      backend: '',
    });
  });

  const anySpec = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'local'),
    number: fc.integer({ min: 1, max: 6 }),
    extra: fc.constantFrom<Partial<EndpointSpec>>(
      {},
      { backend: 'libreswan' },
      { subnets: ['10.2.0.0/15'] },
      { cable_name: 'same' },
    ),
    second: fc.nat(5),
  });

  test('the order of the list means nothing, and what is accepted never overlaps', () => {
    fc.assert(
      fc.property(fc.array(anySpec, { maxLength: 8 }), fc.nat(), (items, turn) => {
        const objects = items.map(({ id, number, extra, second }, index) =>
          object(spec(id, number, extra), `2030-01-01T00:00:0${second}Z`, `e${index}`),
        );
        const at = objects.length === 0 ? 0 : turn % objects.length;
        const judged = judgeRemotes(objects, local);
        const turned = judgeRemotes([...objects.slice(at), ...objects.slice(0, at)].reverse(), local);
        expect({ ...turned, problems: new Set(turned.problems.map(({ message }) => message)) }).toEqual({
          ...judged,
          problems: new Set(judged.problems.map(({ message }) => message)),
        });
        const all = [local, ...judged.accepted.map((remote) => remote.spec)].flatMap(({ subnets, cluster_id }) =>
          subnets.map((cidr) => ({ cidr, cluster_id })),
        );
        for (const one of all)
          for (const other of all)
            if (one.cluster_id !== other.cluster_id) expect(cidrsOverlap(one.cidr, other.cidr)).toBe(false);
        for (const cidr of judged.guardedCidrs)
          expect(local.subnets.some((subnet) => cidrsOverlap(cidr, subnet))).toBe(false);
      }),
    );
  });

  test('junk never throws', () => {
    fc.assert(
      fc.property(fc.array(fc.object(), { maxLength: 4 }), (contents) => {
        const { accepted, problems } = judgeRemotes(
          contents.map((content) => object(content)),
          local,
        );
        expect(accepted.length + problems.length).toBeLessThanOrEqual(contents.length);
      }),
    );
  });
});

describe('cables', () => {
  const remotes = judgeRemotes([object(spec('east', 2))], local);
  const context: Omit<CableContext, 'decision'> = {
    udpPort: 4500,
    cniAddress: '10.1.1.1',
    leader: true,
    slot: undefined,
    chosen: () => undefined,
    lookup: 'all',
  };

  test('a decided one has all a driver needs', () => {
    const desired = desiredCables(remotes, local, { ...context, decision: () => found({ usingNat: true }) });
    expect(desired).toEqual({
      cniAddress: '10.1.1.1',
      lookup: 'all',
      guardedCidrs: ['10.2.0.0/16', '100.66.0.0/16'],
      cables: [
        {
          name: 'submariner-cable-east-172-31-2-11',
          remoteClusterId: 'east',
          localClusterId: 'local',
          localPrivateIp: '172.30.0.11',
          remotePrivateIp: '172.31.2.11',
          usingIp: '172.31.2.11',
          usingNat: true,
          localUdpPort: 4500,
          remoteUdpPort: 4501,
          localSubnets: local.subnets,
          remoteSubnets: ['100.66.0.0/16', '10.2.0.0/16'],
          localConfig: local.backend_config,
          remoteConfig: { 'udp-port': '4501', 'natt-discovery-port': '4490' },
          slot: 0,
          carries: true,
          probeIp: remotes.accepted[0]?.spec.healthCheckIP,
        },
      ],
    });
  });

  test('undecided, or without an address: none yet, but guarded', () => {
    for (const decision of [undefined, found({ usingIp: '' })]) {
      const desired = desiredCables(remotes, local, { ...context, decision: () => decision });
      expect(desired.cables).toEqual([]);
      expect(desired.guardedCidrs).toHaveLength(2);
    }
  });
});
