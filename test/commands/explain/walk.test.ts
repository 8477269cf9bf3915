import { describe, expect, test } from '@jest/globals';
import type { EngineDaemonState } from '../../../src/api/daemonstate.ts';
import type { ClusterEvidence, End, Hop } from '../../../src/commands/explain/model.ts';
import { culprit, walk } from '../../../src/commands/explain/walk.ts';
import type { NodeNetwork } from '../../../src/net/nodenetwork.ts';
import type { NetworkState } from '../../../src/net/state.ts';
import { EAST, endpointSpec, engine, evidence, podEnd, podIp, SERVICE_END, slice, vtep, WEST } from './evidence.ts';

interface World {
  a: ClusterEvidence;
  b: ClusterEvidence;
}

const healthy = (): World => ({ a: evidence(EAST, WEST), b: evidence(WEST, EAST) });

function hops({ a, b }: World, from: End = podEnd(EAST, 2), to: End = podEnd(WEST, 3)): readonly Hop[] {
  return walk({ from, to, a, b });
}

const short = (all: readonly Hop[]): readonly string[] =>
  all.map(({ way, node, what, status }) => `${way} ${node} ${what} ${status}`);

function withNetwork(
  cluster: ClusterEvidence,
  node: string,
  change: {
    readonly node?: (before: NodeNetwork) => NodeNetwork;
    readonly own?: (before: NetworkState) => NetworkState;
  },
): ClusterEvidence {
  const before = cluster.networks.get(node)!;
  const reading = {
    node: change.node === undefined ? before.node : change.node(before.node!),
    own: change.own === undefined ? before.own : change.own(before.own!),
  };
  return { ...cluster, networks: new Map([...cluster.networks, [node, reading]]) };
}

function withEngine(
  cluster: ClusterEvidence,
  change: (before: EngineDaemonState) => EngineDaemonState,
): ClusterEvidence {
  const node = `${cluster.clusterId}-1`;
  return { ...cluster, engines: new Map([[node, { state: change(cluster.engines.get(node)!.state!) }]]) };
}

const silent = (cluster: ClusterEvidence, address: string): ClusterEvidence => ({
  ...cluster,
  echoes: cluster.echoes.map((echo) =>
    echo.address === address ? { ...echo, received: 0, rttMs: null, failure: 'no answer within 1 s' } : echo,
  ),
});

describe('the way that is whole', () => {
  test('from worker to worker: every hop, there and back', () => {
    expect(short(hops(healthy()))).toEqual([
      'there east-2 pod ok',
      'there east-2 address ok',
      'there east-2 route agent ok',
      'there east-2 route ok',
      'there east-2 source ok',
      'there east-2 overlay ok',
      'there east-1 gateway ok',
      'there east-1 route ok',
      'there east-1 cable ok',
      'there west-1 gateway ok',
      'there west-1 cable ok',
      'there west-1 source ok',
      'there west-1 delivery ok',
      'there west-3 delivery ok',
      'there west-3 pod ok',
      'back west-3 route agent ok',
      'back west-3 route ok',
      'back west-3 source ok',
      'back west-3 overlay ok',
      'back west-1 gateway ok',
      'back west-1 route ok',
      'back west-1 cable ok',
      'back east-1 gateway ok',
      'back east-1 cable ok',
      'back east-1 source ok',
      'back east-1 delivery ok',
      'back east-2 delivery ok',
      'back east-2 pod ok',
    ]);
    expect(culprit(hops(healthy()))).toBeUndefined();
  });

  test('between gateways there is no overlay, and a Service is translated on the gateway', () => {
    const all = hops(healthy(), podEnd(EAST, 1), SERVICE_END);
    expect(short(all).filter((hop) => /overlay|service/.test(hop))).toEqual([
      'there west-1 service ok',
      'back west-2 overlay ok',
    ]);
    expect(all.find(({ what }) => what === 'service')?.detail).toContain('pod default/p2 (10.131.2.2), one of 3');
    expect(culprit(all)).toBeUndefined();
  });

  test.each([
    [true, 'ok'],
    [false, 'broken'],
  ])('a node sends to a gateway through its own cable when it is one on standby: %s', (standsBy, status) => {
    const { a, b } = healthy();
    const [address, source] = [podIp(WEST, 1, 1), podIp(EAST, 2, 1)];
    const through = { destination: `${address}/32`, table: 101, link: 'vxlan-tunnel', via: '241.32.0.11', source };
    const changed = withNetwork(a, 'east-2', {
      node: (net) => ({
        ...net,
        routes: [...net.routes, through],
        rules: [...net.rules, { priority: 99, table: 101, incomingLink: 'lo' }],
      }),
    });
    const standby = { ...a.gateways[0]!, metadata: { name: 'east-2' } };
    const east = { ...changed, gateways: standsBy ? [...a.gateways, standby] : a.gateways };
    const from: End = { cluster: 'east', kind: 'node', name: 'node east-2', address: source, node: 'east-2' };
    const to: End = { cluster: 'west', kind: 'node', name: 'node west-1', address, node: 'west-1' };
    const route = hops({ a: east, b }, from, to).find(({ node, what }) => node === 'east-2' && what === 'route');
    expect(route).toMatchObject({
      status,
      detail: `${address}/32 via 241.32.0.11 dev vxlan-tunnel src ${source} table 101`,
    });
  });

  test('a node sends by itself: no source rule is needed', () => {
    const from: End = {
      cluster: 'east',
      kind: 'node',
      name: 'node east-2',
      address: podIp(EAST, 2, 1),
      node: 'east-2',
    };
    const all = hops(healthy(), from);
    expect(culprit(all)).toBeUndefined();
    expect(all.filter(({ what, node }) => what === 'source' && node === 'east-2')).toEqual([]);
  });
});

/** [what is wrong, how, hop, cause] */
const FAULTS: readonly (readonly [string, (world: World) => World, string, string])[] = [
  [
    'a route of somebody else',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-2', {
        node: (net) => ({
          ...net,
          routes: [...net.routes, { destination: '10.131.3.0/24', table: 254, link: 'eth0', via: '172.31.0.1' }],
        }),
      }),
      b,
    }),
    'there east-2 route broken',
    'a route of somebody else takes packets for 10.131.3.2 away: 10.131.3.0/24 via 172.31.0.1 dev eth0 table main',
  ],
  [
    'no routes to the other cluster',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-2', {
        node: (net) => ({ ...net, routes: net.routes.filter(({ via }) => via !== vtep(EAST, 1)) }),
      }),
      b,
    }),
    'there east-2 route broken',
    'leave by the default route, not by vx-submariner',
  ],
  [
    'routes to a former gateway',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-2', {
        node: (net) => ({
          ...net,
          routes: net.routes.map((route) => (route.via === vtep(EAST, 1) ? { ...route, via: vtep(EAST, 3) } : route)),
        }),
      }),
      b,
    }),
    'there east-2 route broken',
    'sends to 240.31.0.13, but the active gateway east-1 is 240.31.0.11',
  ],
  [
    'no route agent on the node of the sender',
    ({ a, b }) => ({
      a: {
        ...a,
        routeAgents: new Map([...a.routeAgents, ['east-2', { problem: 'no pod of it runs there' }]]),
        networks: new Map([...a.networks, ['east-2', { node: null, own: null }]]),
      },
      b,
    }),
    'there east-2 route agent broken',
    'the route agent of node east-2 does not answer: no pod of it runs there',
  ],
  [
    'the rule that keeps pod addresses is gone',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-2', {
        own: (own) => ({ ...own, ruleset: { ...own.ruleset!, chains: [{ name: 'source', rules: [] }] } }),
      }),
      b,
    }),
    'there east-2 source broken',
    'on node east-2 lacks the rule "ip saddr @local ip daddr @remote snat ip to ip saddr"',
  ],
  [
    'the whole table is gone on the other gateway',
    ({ a, b }) => ({ a, b: withNetwork(b, 'west-1', { own: ({ ruleset: _gone, ...own }) => own }) }),
    'there west-1 source broken',
    'node west-1 has no nft table inet submariner-routeagent',
  ],
  [
    'UDP 4800 is blocked between the nodes',
    ({ a, b }) => ({ a: silent(a, vtep(EAST, 1)), b }),
    'there east-2 overlay silent',
    'UDP port 4800 between 172.31.0.12 and 172.31.0.11 does not get through',
  ],
  [
    'the overlay link is down on the gateway',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-1', {
        node: (net) => ({
          ...net,
          links: net.links.map((link) => (link.name === 'vx-submariner' ? { ...link, up: false } : link)),
        }),
      }),
      b,
    }),
    'there east-2 overlay broken',
    'link vx-submariner of node east-1 is down',
  ],
  [
    'sources are checked strictly on the gateway',
    ({ a, b }) => ({
      a: withNetwork(a, 'east-1', {
        node: (net) => ({ ...net, sysctls: [{ key: 'net.ipv4.conf.all.rp_filter', value: '1' }] }),
      }),
      b,
    }),
    'there east-2 overlay broken',
    'checks sources strictly on vx-submariner (rp_filter 1)',
  ],
  [
    'the engine of the other gateway is dead',
    ({ a, b }) => ({
      a: silent(a, podIp(WEST, 1, 1)),
      b: { ...b, engines: new Map([['west-1', { problem: 'no answer' }]]) },
    }),
    'there west-1 gateway broken',
    'the gateway engine of node west-1 does not answer',
  ],
  [
    'charon does not answer on the other gateway',
    ({ a, b }) => ({
      a: silent(a, podIp(WEST, 1, 1)),
      b: withEngine(b, (state) => ({
        ...state,
        problems: ['charon did not answer list-conns within 5000 ms'],
        observed: { ...state.observed, cables: [], ike: [] },
      })),
    }),
    'there west-1 gateway broken',
    'the gateway engine of node west-1 reports: charon did not answer list-conns',
  ],
  [
    'the other cluster is not known',
    ({ a, b }) => ({
      a: withEngine(
        withNetwork(a, 'east-1', {
          node: (net) => ({ ...net, routes: net.routes.filter(({ table }) => table !== 100) }),
        }),
        (state) => ({
          ...state,
          inputs: { ...state.inputs, remotes: [] },
          desired: { ...state.desired, cables: [] },
          observed: { ...state.observed, cables: [], ike: [] },
        }),
      ),
      b,
    }),
    'there east-1 route broken',
    'no cable of gateway east-1 leads to west, so it refuses packets for 10.131.3.2: it knows no Endpoint of west',
  ],
  [
    'the keys differ',
    ({ a, b }) => ({
      a: withEngine(a, (state) => ({
        ...state,
        observed: {
          ...state.observed,
          ike: [],
          cables: state.observed.cables.map((cable) => ({
            ...cable,
            status: 'connecting' as const,
            message: 'authentication failed: the pre-shared keys of the clusters differ',
          })),
        },
      })),
      b,
    }),
    'there east-1 cable broken',
    'authentication failed: the pre-shared keys of the clusters differ',
  ],
  [
    'the keys differ, which only the other gateway has noticed so far',
    ({ a, b }) => ({
      a: silent(a, podIp(WEST, 1, 1)),
      b: withEngine(b, (state) => ({
        ...state,
        observed: {
          ...state.observed,
          ike: [],
          cables: state.observed.cables.map((cable) => ({
            ...cable,
            status: 'connecting' as const,
            message: 'authentication failed: the pre-shared keys of the clusters differ',
          })),
        },
      })),
    }),
    'there west-1 cable broken',
    'authentication failed',
  ],
  [
    'the tunnel stands, but its packets are lost',
    ({ a, b }) => ({ a: silent(a, podIp(WEST, 1, 1)), b: silent(b, podIp(EAST, 1, 1)) }),
    'there east-1 cable silent',
    'UDP port 4500 of 172.32.0.11 and port 4500 of 172.31.0.11 are blocked in at least one direction',
  ],
  [
    'one pair of SAs is missing',
    ({ a, b }) => ({
      a: withEngine(a, (state) => ({
        ...state,
        observed: {
          ...state.observed,
          ike: state.observed.ike.map((sa) => ({ ...sa, children: sa.children.slice(0, 1) })),
        },
      })),
      b,
    }),
    'there east-1 cable broken',
    'no pair of SAs covers 10.130.2.2 and 10.131.3.2',
  ],
  [
    'the Endpoint of the other cluster is stale',
    ({ a, b }) => {
      const spec = { ...endpointSpec(WEST), private_ip: '172.32.0.12', hostname: 'west-2' };
      const endpoints = b.endpoints.map((one) => (one.spec.cluster_id === 'west' ? { ...one, spec } : one));
      const engines = new Map([['west-2', { state: { ...engine(WEST, EAST), node: 'west-2' } }]]);
      return { a, b: { ...b, endpoints, engines } };
    },
    'there east-1 cable broken',
    'the cable leads to 172.32.0.11 (west-1), but the active gateway of west is west-2 (172.32.0.12)',
  ],
  [
    'the other gateway has no way to the pod',
    ({ a, b }) => ({
      a,
      b: withNetwork(b, 'west-1', {
        node: (net) => ({ ...net, routes: net.routes.filter(({ destination }) => destination !== '10.131.3.0/24') }),
      }),
    }),
    'there west-1 delivery broken',
    'node west-1 has no route to the pod 10.131.3.2: the packet leaves by default via 172.32.0.1 dev eth0 table main',
  ],
  [
    'the pod does not answer its own gateway',
    ({ a, b }) => ({ a, b: silent(b, podIp(WEST, 3)) }),
    'there west-1 delivery silent',
    'pod default/p3 (10.131.3.2) does not answer its own gateway node west-1',
  ],
  [
    'the pod does not run',
    ({ a, b }) => ({ a, b: { ...b, pods: b.pods.map((one) => ({ ...one, status: { phase: 'Failed' } })) } }),
    'there west-3 pod broken',
    'pod default/p3 does not run: it is Failed',
  ],
  [
    'the node of the receiver sends answers elsewhere',
    ({ a, b }) => ({
      a,
      b: withNetwork(b, 'west-3', {
        node: (net) => ({
          ...net,
          routes: [...net.routes, { destination: '10.130.0.0/16', table: 254, link: 'eth0', metric: 0 }].filter(
            ({ via }) => via !== vtep(WEST, 1),
          ),
        }),
      }),
    }),
    'back west-3 route broken',
    'a route of somebody else takes packets for 10.130.2.2 away',
  ],
  [
    'an address nobody announces',
    ({ a, b }) => ({ a: { ...a, podCidrs: ['10.99.0.0/16'] }, b }),
    'there east-2 address broken',
    '10.130.2.2 is in none of the CIDRs that east announces',
  ],
  [
    'no gateway at all',
    ({ a, b }) => ({
      a: { ...a, endpoints: a.endpoints.filter(({ spec }) => spec.cluster_id !== 'east'), gateways: [] },
      b,
    }),
    'there  gateway broken',
    'no gateway of east is known',
  ],
];

describe('the first hop that breaks the way is named with its cause', () => {
  test.each(FAULTS)('%s', (_, change, hop, cause) => {
    const found = culprit(hops(change(healthy())));
    expect(found && short([found])[0]).toBe(hop);
    expect(found?.cause).toContain(cause);
    expect(found?.mend).not.toBe('');
  });

  test('a Service without ready pods', () => {
    const { a, b } = healthy();
    const found = culprit(hops({ a, b: { ...b, slices: [slice(WEST, [2], false)] } }, podEnd(EAST, 2), SERVICE_END));
    expect(found).toMatchObject({ what: 'service', cause: 'service default/echo has no ready pod behind it' });
  });

  test('what was read goes before silence, and silence before what could not be read', () => {
    const { a, b } = healthy();
    const both = { a: silent(a, podIp(WEST, 1, 1)), b: { ...b, pods: b.pods.map((one) => ({ ...one, status: {} })) } };
    expect(culprit(hops(both))?.what).toBe('pod');
    const unread = { a: silent(a, podIp(WEST, 1, 1)), b: { ...b, networks: new Map() } };
    expect(culprit(hops(unread))?.what).toBe('cable');
  });
});

test('without echoes, as from an archive, the engine’s own probes count', () => {
  const { a, b } = healthy();
  const archived = ({ ...one }: ClusterEvidence): ClusterEvidence => ({ ...one, context: undefined, echoes: [] });
  expect(culprit(hops({ a: archived(a), b: archived(b) }))).toBeUndefined();
  const dead = withEngine(archived(a), (state) => ({
    ...state,
    inputs: {
      ...state.inputs,
      remotes: state.inputs.remotes.map((remote) => ({
        ...remote,
        probe: { ...remote.probe!, status: 'error' as const, message: 'no answer since noon' },
      })),
    },
  }));
  const found = culprit(hops({ a: dead, b: archived(b) }));
  expect(found?.cause).toContain('no answer since noon');
  expect(found?.mend).not.toContain('--context');
});

test('a gateway that knows the newest Endpoint, and sends to the one before, goes by what it hears', () => {
  const { a, b } = healthy();
  const spec = { ...endpointSpec(WEST), private_ip: '172.32.0.12', hostname: 'west-2' };
  const follow = (cluster: ClusterEvidence): ClusterEvidence => ({
    ...cluster,
    endpoints: cluster.endpoints.map((one) => (one.spec.cluster_id === 'west' ? { ...one, spec } : one)),
  });
  const cable = hops({ a: follow(a), b: follow(b) }).find(({ what }) => what === 'cable');
  expect(cable).toMatchObject({ status: 'ok', node: 'east-1' });
});
