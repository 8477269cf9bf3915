import { describe, expect, test } from '@jest/globals';
import type { ProbeReport, ProbeTarget } from '../../../src/host/prober/protocol.ts';
import { CHOICES, describeCase, planCases, type Case, type CasePlaces } from '../../../src/commands/verify/cases.ts';
import { conclude } from '../../../src/commands/verify/conclusions.ts';
import { judgeCase, type CaseResult } from '../../../src/commands/verify/judge.ts';
import { renderJunit } from '../../../src/commands/verify/junit.ts';

const CIDRS = ['10.130.0.0/16'];

/** A cluster with a gateway and another node, a pod on each, and a Service for each pod. */
function places(cluster: string, net: number, kinds: readonly boolean[] = [true, false]): CasePlaces {
  const nodes = kinds.map((gateway) => ({ cluster, gateway, node: `${cluster}-${gateway ? 1 : 2}` }));
  const pod = (gateway: boolean): string => `10.${net}.${gateway ? 1 : 2}.5`;
  return {
    cluster,
    sources: nodes.flatMap((node) => [
      { ...node, kind: 'pod' as const, address: pod(node.gateway) },
      { ...node, kind: 'node' as const, address: '' },
    ]),
    destinations: nodes.flatMap((node) => [
      { ...node, kind: 'pod' as const, address: pod(node.gateway) },
      { ...node, kind: 'service' as const, address: `100.66.0.${node.gateway ? 1 : 2}` },
    ]),
  };
}

const CASES = planCases([places('east', 130), places('west', 131)], 3000);

describe('the plan', () => {
  test('has every way of each direction, and each case once', () => {
    // 4 sources, 2 pods: TCP, UDP, ICMP; sizes from pods only; 2 Services: TCP, UDP.
    expect(CASES).toHaveLength(2 * (4 * 2 * 3 + 2 * 2 + 4 * 2 * 2));
    expect(new Set(CASES.map(({ id }) => id)).size).toBe(CASES.length);
    expect(new Set(CASES.map(describeCase)).size).toBe(CASES.length);
    const targets = CASES.flatMap((one) => one.targets.map(({ id }) => id));
    expect(new Set(targets).size).toBe(targets.length);
    for (const { from, to } of CASES) expect(from.cluster).not.toBe(to.cluster);
  });

  test('three clusters: all six directions', () => {
    const three = planCases([places('a', 1), places('b', 2), places('c', 3)], 1);
    const ways = new Set(three.map(({ from, to }) => `${from.cluster}${to.cluster}`));
    expect([...ways].sort()).toEqual(['ab', 'ac', 'ba', 'bc', 'ca', 'cb']);
  });

  test('clusters of one node have what there is', () => {
    const single = planCases([places('east', 130, [true]), places('west', 131)], 1);
    const east = single.flatMap(({ from, to }) => [from, to]).filter(({ cluster }) => cluster === 'east');
    expect(east.every(({ gateway }) => gateway)).toBe(true);
  });

  test('the payload over TCP is what was asked for, both ways', () => {
    const [tcp] = CASES.filter(({ aspect }) => aspect === 'tcp');
    expect(tcp!.targets).toMatchObject([{ tcp: { upBytes: 3000, downBytes: 3000 } }]);
  });

  test('words of --only choose', () => {
    const count = (word: string): number => CASES.filter(CHOICES[word]!).length;
    expect(count('connectivity')).toBe(CASES.length);
    expect(count('basic-connectivity')).toBe(4);
    expect(count('tcp') + count('udp') + count('icmp') + count('packet-sizes')).toBe(CASES.length);
    expect(count('service')).toBe(32);
    expect(count('host-network')).toBe(2 * 2 * (2 * 3 + 2 * 2));
  });
});

const byAspect = (aspect: string, kind = 'pod'): Case =>
  CASES.find((one) => one.aspect === aspect && one.from.kind === kind && one.from.cluster === 'east')!;

/** What a healthy network reports of a target. */
function good({ id, icmp, tcp, udp }: ProbeTarget, seen: string): ProbeReport {
  const bursts = (udp?.bursts ?? []).map(({ bytes, count }) => ({ bytes, sent: count, there: count, back: count }));
  return {
    id,
    ...(icmp === undefined ? {} : { icmp: { sent: icmp.count, received: icmp.count, rttMs: 2, failure: '' } }),
    ...(tcp === undefined
      ? {}
      : { tcp: { ok: true, connectMs: 1, clientIP: seen, upBytes: 1, downBytes: 1, failure: '' } }),
    ...(udp === undefined ? {} : { udp: { bursts, clientIP: seen, failure: '' } }),
  };
}

type Change = (report: ProbeReport) => ProbeReport;

function judge(tested: Case, change: Change = (report) => report): CaseResult {
  const seen = tested.from.kind === 'pod' ? tested.from.address : '10.130.2.1';
  const reports = new Map(tested.targets.map((target) => [target.id, change(good(target, seen))]));
  return judgeCase(tested, reports, { podCidrs: CIDRS, failure: '' });
}

describe('judging', () => {
  test.each(['tcp', 'udp', 'icmp', 'packet-sizes'])('%s: good is passed', (aspect) => {
    expect(judge(byAspect(aspect))).toMatchObject({ status: 'passed', message: '' });
  });

  test('a missing report is a failure, with the reason', () => {
    const judged = judgeCase(byAspect('tcp'), new Map(), { podCidrs: CIDRS, failure: 'the pod is gone' });
    expect(judged).toMatchObject({ status: 'failed', message: 'the pod is gone', rttMs: null });
  });

  test('TCP that fails says why', () => {
    const stall: Change = (report) => ({ ...report, tcp: { ...report.tcp!, ok: false, failure: 'stalled' } });
    expect(judge(byAspect('tcp'), stall)).toMatchObject({ status: 'failed', message: 'stalled' });
  });

  test.each([
    [5, 'passed', ''],
    [4, 'passed', '4 of 5'],
    [3, 'passed', '3 of 5'],
    [2, 'failed', '2 of 5'],
    [0, 'failed', '0 of 5'],
  ])('%i of 5 datagrams that come back: %s', (back, status, message) => {
    const judged = judge(byAspect('udp'), (report) => ({
      ...report,
      udp: { ...report.udp!, bursts: [{ bytes: 128, sent: 5, there: 5, back }] },
    }));
    expect(judged).toMatchObject({ status, message: expect.stringContaining(message) });
  });

  test('of datagrams in fragments one that comes back is enough', () => {
    const bursts =
      (back: number): Change =>
      (report) => ({
        ...report,
        udp: { ...report.udp!, bursts: [{ bytes: 3000, sent: 5, there: 5, back }] },
      });
    expect(judge(byAspect('udp'), bursts(1))).toMatchObject({ status: 'passed' });
    expect(judge(byAspect('udp'), bursts(0))).toMatchObject({ status: 'failed' });
  });

  test('the source address of a pod is its own; of a node one in the pod network', () => {
    const seeing =
      (clientIP: string): Change =>
      (report) => ({ ...report, tcp: { ...report.tcp!, clientIP } });
    expect(judge(byAspect('tcp'), seeing('10.130.9.9'))).toMatchObject({
      status: 'failed',
      message: `the source address is not preserved: 10.130.9.9 was seen instead of ${byAspect('tcp').from.address}`,
    });
    expect(judge(byAspect('tcp', 'node'), seeing('10.130.9.9'))).toMatchObject({
      status: 'passed',
      sourceSeen: '10.130.9.9',
      sourceExpected: '10.130.0.0/16',
    });
    expect(judge(byAspect('tcp', 'node'), seeing('172.31.0.11'))).toMatchObject({ status: 'failed' });
  });

  test('a pod that may not send ICMP is no failure of the network', () => {
    const failing =
      (failure: string): Change =>
      (report) => ({ ...report, icmp: { sent: 2, received: 0, rttMs: null, failure } });
    expect(judge(byAspect('icmp'), failing('socket: Operation not permitted'))).toMatchObject({
      status: 'skipped',
      message: 'the test pod may not send ICMP',
    });
    expect(judge(byAspect('icmp'), failing('no answer within 1 s'))).toMatchObject({ status: 'failed' });
  });

  test('one bad size makes the sizes fail', () => {
    const silent = { sent: 2, received: 0, rttMs: null, failure: 'no answer within 1 s' };
    const judged = judge(byAspect('packet-sizes'), (report) =>
      report.id.endsWith('icmp-3000') ? { ...report, icmp: silent } : report,
    );
    expect(judged.status).toBe('failed');
  });
});

describe('what failures have in common', () => {
  const results = (fails: (tested: Case) => boolean, message = 'no answer'): readonly CaseResult[] =>
    CASES.filter(({ from }) => from.cluster === 'east').map((tested) => ({
      ...judge(tested),
      ...(fails(tested) ? { status: 'failed' as const, message } : {}),
    }));

  test.each<readonly [string, (tested: Case) => boolean, string]>([
    ['all', () => true, 'nothing gets through'],
    ['large packets', ({ aspect }) => aspect === 'packet-sizes', 'MTU'],
    ['one protocol', ({ aspect }) => aspect === 'udp', 'only UDP fails'],
    [
      'one protocol, also with its sizes',
      ({ aspect }) => aspect === 'udp' || aspect === 'packet-sizes',
      'only UDP fails',
    ],
    ['Services', ({ to }) => to.kind === 'service', 'Services are not'],
    ['nodes', ({ from }) => from.kind === 'node', 'nodes send'],
    ['one node', ({ from }) => from.node === 'east-2', 'only what is sent from node east-2 fails'],
    ['pods of one node', ({ to }) => to.node === 'west-1', 'only what goes to pods on node west-1 fails'],
  ])('%s', (_, fails, said) => {
    expect(conclude(results(fails))).toEqual([expect.stringMatching(new RegExp(`^east -> west: .*${said}`))]);
  });

  test('TCP that stalls with its payload is a matter of sizes too', () => {
    const stalls = results(
      ({ aspect }) => aspect === 'tcp' || aspect === 'packet-sizes',
      'connected, but stalled for 1 s',
    );
    expect(conclude(stalls)).toEqual([expect.stringContaining('MTU')]);
    // One that was not even connected in time, as on a busy machine, does not hide it; all of them do.
    const late = 'no connection within 1 s';
    const isTcp = ({ tested }: CaseResult): boolean => tested.aspect === 'tcp';
    const first = stalls.findIndex(isTcp);
    const oneLate = stalls.map((result, at) => (at === first ? { ...result, message: late } : result));
    expect(conclude(oneLate)).toEqual([expect.stringContaining('MTU')]);
    const allLate = stalls.map((result) => (isTcp(result) ? { ...result, message: late } : result));
    expect(conclude(allLate)).toEqual([expect.stringContaining('only TCP fails')]);
  });

  test('lost source addresses', () => {
    const message = 'the source address is not preserved: a was seen instead of b';
    expect(conclude(results(({ aspect }) => aspect === 'tcp', message))).toEqual([
      expect.stringContaining('source addresses are lost'),
    ]);
  });

  test('nothing is said without failures, or without a pattern', () => {
    expect(conclude(results(() => false))).toEqual([]);
    let index = 0;
    expect(conclude(results(() => (index += 1) % 7 === 0))).toEqual([]);
  });
});

test('JUnit: suites with counts, text escaped', () => {
  const suite = 'east -> west';
  const text = renderJunit(
    [
      { suite, name: 'a', status: 'passed', message: '', seconds: 0.5 },
      { suite, name: 'b <"&\u0007>', status: 'failed', message: 'line 1\nline 2', seconds: 0 },
      { suite: 'other', name: 'c', status: 'skipped', message: 'why', seconds: 0 },
    ],
    '2030-01-01T00:00:00Z',
  );
  expect(text).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="subctl verify" tests="3" failures="1" skipped="1" errors="0" time="0.500">
  <testsuite name="east -&gt; west" tests="2" failures="1" skipped="0" errors="0" time="0.500" timestamp="2030-01-01T00:00:00Z">
    <testcase classname="east -&gt; west" name="a" time="0.500"/>
    <testcase classname="east -&gt; west" name="b &lt;&quot;&amp;&gt;" time="0.000"><failure message="line 1&#10;line 2"/></testcase>
  </testsuite>
  <testsuite name="other" tests="1" failures="0" skipped="1" errors="0" time="0.000" timestamp="2030-01-01T00:00:00Z">
    <testcase classname="other" name="c" time="0.000"><skipped message="why"/></testcase>
  </testsuite>
</testsuites>
`);
});
