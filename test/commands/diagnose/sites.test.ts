import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { KernelReport, Offer, PathMtuReport } from '../../../src/host/prober/protocol.ts';
import {
  describeKernels,
  describeSizes,
  judgeKernels,
  judgePorts,
  judgeSizes,
  judgeWays,
  OVERHEAD_BYTES,
} from '../../../src/commands/diagnose/sites/judge.ts';
import type { Site, Survey, Way } from '../../../src/commands/diagnose/sites/model.ts';
import { planSite, planWays, podLinkBytes, sendsOf } from '../../../src/commands/diagnose/sites/plan.ts';
import { UsageError } from '../../../src/runtime/errors.ts';
import type { Node } from '../../../src/kube/objects.ts';
import { node } from '../harness.ts';

const WISHES = { gatewayNodes: [], nattport: undefined, cableDriver: undefined };

function nodeAt(name: string, address: string, annotations: Readonly<Record<string, string>> = {}): Node {
  const one = node(name) as Node;
  const addresses = [{ type: 'InternalIP', address }];
  return { ...one, metadata: { ...one.metadata, annotations }, status: { ...one.status, addresses } };
}

function site(clusterId: string, nodes: readonly Node[], wishes: Partial<Parameters<typeof planSite>[1]> = {}): Site {
  const facts = { clusterId, submariner: undefined, nodes, podCidrs: ['10.130.0.0/16'], running: false };
  return planSite(facts, { ...WISHES, ...wishes });
}

const EAST = site('east', [nodeAt('east-1', '172.31.0.11')]);
const WEST = site('west', [nodeAt('west-1', '172.32.0.11')]);
const lines = (sites: readonly Site[]): readonly string[] =>
  planWays(sites).map(
    ({ shot: { from, to, port, purpose }, local, optional }) =>
      `${from.node}:${local} -> ${to.address}:${port} ${purpose}${optional ? ' (optional)' : ''}`,
  );

describe('gateway nodes as join would choose them', () => {
  const two = [nodeAt('east-1', '172.31.0.11'), nodeAt('east-2', '172.31.0.12')];
  const names = ({ gateways }: Site): readonly string[] => gateways.map(({ name }) => name);

  test('the only worker, the first of several, those that are named, those that are labelled', () => {
    expect(names(EAST)).toEqual(['east-1']);
    expect(names(site('east', two))).toEqual(['east-1']);
    expect(site('east', two).note).toContain('east-1, east-2');
    expect(names(site('east', two, { gatewayNodes: ['east-2', 'west-2'] }))).toEqual(['east-2']);
    const labelled = { ...two[1]!, metadata: { ...two[1]!.metadata, labels: { 'submariner.io/gateway': 'true' } } };
    expect(names(site('east', [two[0]!, labelled]))).toEqual(['east-2']);
  });

  test('none, with the reason', () => {
    expect(site('east', [])).toMatchObject({ gateways: [], problem: expect.stringContaining('no node can be') });
  });

  test('an unknown driver is wrong usage', () => {
    expect(() => site('east', two, { cableDriver: 'foo' })).toThrow(UsageError);
  });
});

describe('ways', () => {
  test('both directions, the ports that will be used; those for a second gateway are optional while there is none', () => {
    expect(lines([EAST, WEST])).toEqual([
      'east-1:4500 -> 172.32.0.11:4500 tunnel',
      'east-1:4501 -> 172.32.0.11:4501 standby tunnel (optional)',
      'east-1:4490 -> 172.32.0.11:4490 NAT discovery',
      'west-1:4500 -> 172.31.0.11:4500 tunnel',
      'west-1:4501 -> 172.31.0.11:4501 standby tunnel (optional)',
      'west-1:4490 -> 172.31.0.11:4490 NAT discovery',
    ]);
  });

  test('ports of flags and of nodes, and public addresses', () => {
    const wishes = { nattport: 4600, cableDriver: 'vxlan' };
    const special = {
      'gateway.submariner.io/udp-port': '4700',
      'gateway.submariner.io/public-ip': 'ipv4:198.51.100.7',
    };
    const west = site('west', [nodeAt('west-1', '172.32.0.11', special)], wishes);
    expect(lines([site('east', [nodeAt('east-1', '172.31.0.11')], wishes), west]).slice(0, 3)).toEqual([
      'east-1:4600 -> 172.32.0.11:4700 tunnel',
      'east-1:4600 -> 198.51.100.7:4700 tunnel',
      'east-1:4490 -> 172.32.0.11:4490 NAT discovery',
    ]);
  });

  test('with two gateways their port is needed; none to a cluster whose gateways run, or alone', () => {
    const both = site('west', [nodeAt('west-1', '1.1.1.1'), nodeAt('west-2', '1.1.1.2')], {
      gatewayNodes: ['west-1', 'west-2'],
    });
    expect(lines([EAST, both]).filter((line) => line.includes('optional'))).toEqual([]);
    expect(lines([EAST, { ...WEST, running: true }])).toEqual([]);
    expect(lines([EAST])).toEqual([]);
  });

  test('every way has a size and a number of its own, and is sent by its node only', () => {
    const ways = planWays([EAST, WEST]);
    expect(new Set(ways.map(({ shot }) => shot.bytes)).size).toBe(ways.length);
    expect(sendsOf(ways, WEST.gateways[0]!).map(({ way }) => way)).toEqual([3, 4, 5]);
  });
});

const NOTHING: Survey = { sites: [EAST, WEST], untried: '', kernels: [], taken: [], ways: [], sizes: [], podLinks: [] };

describe('what is wrong with ways', () => {
  const OPEN = { sent: 0, left: 1, arrived: 1, accepted: 1, answered: true, failure: '' };
  const LOST = { ...OPEN, arrived: 0, accepted: 0, answered: false };
  const judged = (there: Partial<Way>, back: Partial<Way>, port = 4500): object => {
    const ways = planWays([EAST, WEST]).map(({ shot, optional }): Way => {
      if (shot.port !== port) return { ...OPEN, shot, optional };
      return { ...OPEN, ...(shot.from.cluster === 'east' ? there : back), shot, optional };
    });
    const { failures, warnings } = judgeWays({ ...NOTHING, ways }, 'east');
    return { failures: failures.map(({ reason }) => reason), warnings: warnings.map(({ reason }) => reason) };
  };
  const lost = 'packets from 172.31.0.11 do not arrive at 172.32.0.11: blocked on the way';

  test.each([
    ['open', {}, {}, [], []],
    ['one direction', LOST, { answered: false }, [`UDP port 4500 (tunnel): ${lost}; the other direction is open`], []],
    ['both', LOST, LOST, [`UDP port 4500 (tunnel): ${lost}; the other direction neither`], []],
    ['only answers', LOST, {}, [], [`UDP port 4500 (tunnel): ${lost}, unless they answer: west-1 gets answers`]],
    [
      'a filter of the receiver',
      { ...LOST, arrived: 4 },
      { answered: false },
      [
        'UDP port 4500 (tunnel): packets from 172.31.0.11 arrive, but a filter of node west-1 itself drops them; the other direction is open',
      ],
      [],
    ],
    [
      'a filter of the sender',
      { ...LOST, left: 0 },
      { answered: false },
      [
        'UDP port 4500 (tunnel): packets to 172.32.0.11 do not leave node east-1: its own filter, or no route; the other direction is open',
      ],
      [],
    ],
  ])('%s', (_, there, back, failures, warnings) => {
    expect(judged(there, back)).toEqual({ failures, warnings });
  });

  test('what is needed for a second gateway only is a warning', () => {
    const reason = `UDP port 4501 (standby tunnel): ${lost}; the other direction neither`;
    expect(judged(LOST, LOST, 4501)).toEqual({ failures: [], warnings: [reason] });
  });

  test('one address that is reached is enough', () => {
    const [way] = planWays([EAST, WEST]);
    const shot = { ...way!.shot, to: { ...way!.shot.to, address: '198.51.100.7' } };
    const ways = [
      { ...LOST, shot: way!.shot, optional: false },
      { ...OPEN, shot, optional: false },
    ];
    expect(judgeWays({ ...NOTHING, ways }, 'east')).toEqual({ failures: [], warnings: [] });
  });
});

test('a taken port names the node and who has it', () => {
  const taken = [
    { cluster: 'east', node: 'east-1', port: 4500, reason: 'UDP port 4500 of this node is taken by socat' },
  ];
  expect(judgePorts({ ...NOTHING, taken }, 'east')).toEqual([
    { object: 'node east-1', reason: taken[0]!.reason, hint: expect.stringContaining("ss -uanp 'sport = :4500'") },
  ]);
  expect(judgePorts({ ...NOTHING, taken }, 'west')).toEqual([]);
});

describe('sizes', () => {
  const whole: PathMtuReport = { triedBytes: 1500, largestBytes: 1500, toldBytes: null, blackHole: false };
  const judged = (report: PathMtuReport | undefined, mtuBytes?: number): readonly (readonly string[])[] => {
    const from = { cluster: 'east', node: 'east-1' };
    const to = { cluster: 'west', node: 'west-1', address: '172.32.0.11' };
    const podLinks = mtuBytes === undefined ? [] : [{ ...from, mtuBytes }];
    const { failures, warnings } = judgeSizes(
      { ...NOTHING, sizes: [{ from, to, report, failure: '' }], podLinks },
      EAST,
    );
    return [failures, warnings].map((findings) => findings.map(({ reason }) => reason));
  };

  test('what the link takes is enough, and so is what packets of pods need', () => {
    expect(judged(whole, 1500)).toEqual([[], []]);
    expect(judged({ ...whole, triedBytes: 9000, largestBytes: 1600 }, 1500)).toEqual([[], []]);
    expect(judged(undefined)).toEqual([[], []]);
  });

  test('less is a warning with the numbers, and a failure when nobody says so', () => {
    const small = { ...whole, largestBytes: 1300 };
    expect(judged(small, 1450)).toEqual([
      [],
      [
        'the network between them carries 1300 bytes, and 1500 are needed: the link of east-1 takes 1500, packets of pods have up to 1450 and ipsec adds up to 100; larger tunnel packets are cut into fragments, or lost where fragments are dropped',
      ],
    ]);
    expect(judged({ ...small, blackHole: true })).toEqual([[expect.stringContaining('vanish without a word')], []]);
    expect(describeSizes([{ report: small }] as never, 'vxlan')).toBe('1300 bytes, of which vxlan leaves 1250 to pods');
  });

  test('links of pods are found by their addresses', () => {
    const link = (name: string, mtuBytes: number, ...addresses: readonly string[]): never =>
      ({ name, mtuBytes, addresses }) as never;
    const links = [link('eth0', 1500, '172.31.0.11/24'), link('cni0', 1450, 'fe80::1/64', '10.130.1.1/24')];
    expect(podLinkBytes(links, ['10.130.0.0/16'])).toBe(1450);
    expect(podLinkBytes(links, ['10.140.0.0/16'])).toBeUndefined();
  });

  test('the drivers take no more than is said here', () => {
    for (const [driver, bytes] of Object.entries(OVERHEAD_BYTES)) {
      const file = driver === 'vxlan' ? 'vxlan-network' : driver;
      const source = readFileSync(`src/engine/drivers/${file}.ts`, 'utf8');
      expect(Number(/OVERHEAD_BYTES = (\d+)/.exec(source)?.[1])).toBe(bytes);
    }
  });
});

describe('kernels', () => {
  const YES: Offer = { offered: true, reason: '' };
  const NO: Offer = { offered: false, reason: 'Unknown device type' };
  const FULL: KernelReport = { release: '6.1.0', vxlan: YES, wireguard: YES, esp: YES, nftables: YES, tun: YES };
  const survey = (change: Partial<KernelReport>): Survey => ({
    ...NOTHING,
    kernels: [{ cluster: 'east', node: 'east-1', report: { ...FULL, ...change }, failure: '' }],
  });
  const judged = (change: Partial<KernelReport>, driver: Site['driver']): readonly string[] =>
    judgeKernels(survey(change), { ...EAST, driver }).map(({ reason }) => reason);

  test.each([
    [{}, 'ipsec', 'ipsec kernel, wireguard kernel, vxlan kernel', []],
    [{ esp: NO }, 'ipsec', 'ipsec userland, wireguard kernel, vxlan kernel', []],
    [{ esp: NO, wireguard: NO }, 'wireguard', 'ipsec userland, wireguard userland, vxlan kernel', []],
    [
      { esp: NO, tun: NO },
      'ipsec',
      'ipsec not, wireguard kernel, vxlan kernel',
      [
        'Linux 6.1.0: the driver ipsec cannot run: neither in the kernel (Unknown device type) nor in userland (/dev/net/tun: Unknown device type)',
      ],
    ],
    [{ esp: NO, tun: NO }, 'vxlan', 'ipsec not, wireguard kernel, vxlan kernel', []],
    [
      { vxlan: NO },
      'vxlan',
      'ipsec kernel, wireguard kernel, vxlan not',
      ['Linux 6.1.0: no VXLAN links, which carry packets between nodes: Unknown device type'],
    ],
    [
      { nftables: NO },
      'ipsec',
      'ipsec kernel, wireguard kernel, vxlan kernel',
      ['Linux 6.1.0: no nftables as the route agent uses it: Unknown device type'],
    ],
  ] as const)('%j with %s', (change, driver, places, findings) => {
    expect(describeKernels(survey(change), 'east')).toBe(`east-1, Linux 6.1.0: ${places}`);
    expect(judged(change, driver)).toEqual(findings);
  });

  test('the hint names modules and other drivers', () => {
    const [finding] = judgeKernels(survey({ esp: NO, tun: NO }), EAST);
    expect(finding?.hint).toContain('modprobe -a esp4 xfrm_interface tun');
    expect(finding?.hint).toContain('--cable-driver wireguard or vxlan');
  });

  test.each([
    ['the probe pod does not run: ErrImagePull: nothing', '--repository'],
    ['the probe pod does not run: Pending', 'kubectl describe node east-1'],
  ])('a pod that does not run: %s', (failure, hint) => {
    const kernels = [{ cluster: 'east', node: 'east-1', report: undefined, failure }];
    const [finding] = judgeKernels({ ...NOTHING, kernels }, EAST);
    expect(finding).toMatchObject({ reason: failure, hint: expect.stringContaining(hint) });
  });
});
