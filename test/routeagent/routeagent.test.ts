import { describe, expect, test } from '@jest/globals';
import { describePlan } from '../../src/net/plan.ts';
import type { FakeHost } from '../fakes/host.ts';
import { EAST_GATEWAY, EAST_NODES, WEST, eastHost, endpoint, eventually, node, stage, type Stage } from './stage.ts';

const SIGNAL = new AbortController().signal;
const OWN = /vx-submariner|submariner-routeagent|table 150|rule 149|rule 150|proto 154/;
const THIRD = endpoint('north', 'north-1', '172.33.0.11', ['100.68.0.0/16', '10.132.0.0/16']);
const MOVED = endpoint('east', 'east-3', '172.31.0.13', ['100.66.0.0/16', '10.130.0.0/16'], '2030-01-02T00:00:00Z');

async function plan(at: Stage): Promise<readonly string[]> {
  const text = describePlan(await at.daemon.reconcile(SIGNAL));
  return text === '' ? [] : text.split('\n');
}

/** Tries again as the loop would; the outcome is whether it settles. */
async function settle(at: Stage): Promise<void> {
  for (let round = 0; round < 4; round += 1) {
    const left = await plan(at).catch(() => ['failed']);
    if (left.length === 0) return;
  }
  expect(await plan(at)).toEqual([]);
}

describe('first programming', () => {
  test('a node that is no gateway', async () => {
    const at = stage(eastHost(2), 2);
    expect(await plan(at)).toEqual([
      '+ link vx-submariner vxlan vni 100 port 4800 local 172.31.0.12 address 02:53:f0:1f:00:0c mtu 1450 up',
      '+ address 240.31.0.12/8 dev vx-submariner',
      '~ sysctl net.ipv4.ip_forward=1 (was 0)',
      '~ sysctl net.ipv4.conf.vx-submariner.forwarding=1',
      '~ sysctl net.ipv4.conf.vx-submariner.rp_filter=2',
      '~ sysctl net.ipv4.conf.cni0.rp_filter=2 (was 1)',
      '~ sysctl net.ipv4.conf.eth0.rp_filter=2 (was 1)',
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.11 dev vx-submariner',
      '+ nft table inet submariner-routeagent (3 sets, 4 chains, 7 rules)',
      '+ route 10.131.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
      '+ route 100.67.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
    ]);
  });

  test('the gateway', async () => {
    const at = stage(eastHost(1), 1);
    expect((await plan(at)).filter((line) => /fdb|route|rule/.test(line))).toEqual([
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.12 dev vx-submariner',
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.13 dev vx-submariner',
      '+ fdb 02:53:f0:1f:00:0c dst 172.31.0.12 dev vx-submariner',
      '+ fdb 02:53:f0:1f:00:0d dst 172.31.0.13 dev vx-submariner',
      '+ nft table inet submariner-routeagent (3 sets, 4 chains, 7 rules)',
      '+ rule pref 149 lookup 100',
      '+ rule pref 150 lookup 150',
      '+ route unreachable 10.131.0.0/16 table 150',
      '+ route unreachable 100.67.0.0/16 table 150',
    ]);
  });

  test('while no gateway is known remote CIDRs are refused, not sent in clear', async () => {
    const at = stage(eastHost(2), 2);
    at.endpoints.set([WEST]);
    expect((await plan(at)).filter((line) => /fdb|route 1|unreachable/.test(line))).toEqual([
      '+ route unreachable 10.131.0.0/16 table 254',
      '+ route unreachable 100.67.0.0/16 table 254',
    ]);
  });
});

describe('the four laws', () => {
  const stories: readonly [string, number, (at: Stage) => void][] = [
    ['worker, from nothing', 2, () => undefined],
    ['gateway, from nothing', 1, () => undefined],
    ['the gateway moved to this node', 3, (at) => at.endpoints.set([MOVED, WEST])],
    ['a cluster left, another came', 2, (at) => at.endpoints.set([EAST_GATEWAY, THIRD])],
    ['a node left', 1, (at) => at.nodes.set(EAST_NODES.slice(0, 2))],
    ['all remote clusters left', 2, (at) => at.endpoints.set([EAST_GATEWAY])],
  ];
  const staged = async (k: number, change: (at: Stage) => void, first: boolean): Promise<[FakeHost, Stage]> => {
    const host = eastHost(k);
    const at = stage(host, k);
    if (!first) await plan(at);
    change(at);
    host.countWritesOnly();
    return [host, at];
  };

  test.each(stories)(
    '%s: nothing is left to do, and whichever command fails it gets there',
    async (name, k, change) => {
      const first = name.includes('from nothing');
      const [whole, planned] = await staged(k, change, first);
      const before = whole.operations;
      expect((await plan(planned)).length).toBeGreaterThan(0);
      expect(await plan(planned)).toEqual([]);
      const operations = whole.operations - before;
      for (let n = 1; n <= operations; n += 1) {
        const [host, at] = await staged(k, change, first);
        host.failAt(n);
        await expect(plan(at)).rejects.toThrow('changes of the network failed');
        await settle(at);
        expect(host.snapshot()).toEqual(whole.snapshot());
      }
    },
  );

  test('a restart with empty memory removes leftovers', async () => {
    const host = eastHost(2);
    await plan(stage(host, 2));
    const after = stage(host, 2);
    after.endpoints.set([EAST_GATEWAY]);
    expect(await plan(after)).toEqual([
      '- nft set inet submariner-routeagent remote 10.131.0.0/16',
      '- nft set inet submariner-routeagent remote 100.67.0.0/16',
      '- route 10.131.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
      '- route 100.67.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
    ]);
  });

  test('what others made stays, through programming, moving and clean-up', async () => {
    const host = eastHost(3);
    const foreign = host.snapshot();
    const at = stage(host, 3);
    await plan(at);
    expect(host.snapshot(OWN)).toEqual(foreign);
    at.endpoints.set([MOVED, WEST]);
    await plan(at);
    expect(host.snapshot(OWN)).toEqual(foreign);
    await at.daemon.cleanup();
    expect(host.snapshot()).toEqual(foreign);
  });
});

describe('changes touch only what they are about', () => {
  test('a cluster joined', async () => {
    const at = stage(eastHost(2), 2);
    await plan(at);
    at.endpoints.set([EAST_GATEWAY, WEST, THIRD]);
    expect(await plan(at)).toEqual([
      '+ nft set inet submariner-routeagent remote 10.132.0.0/16',
      '+ nft set inet submariner-routeagent remote 100.68.0.0/16',
      '+ route 10.132.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
      '+ route 100.68.0.0/16 via 240.31.0.11 dev vx-submariner src 10.130.2.1 table 254',
    ]);
  });

  test('the gateway moved: routes are replaced, new path before the old one goes', async () => {
    const at = stage(eastHost(2), 2);
    await plan(at);
    at.endpoints.set([MOVED, EAST_GATEWAY, WEST]);
    expect(await plan(at)).toEqual([
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.13 dev vx-submariner',
      '~ route 10.131.0.0/16 via 240.31.0.13 dev vx-submariner src 10.130.2.1 table 254',
      '~ route 100.67.0.0/16 via 240.31.0.13 dev vx-submariner src 10.130.2.1 table 254',
      '- fdb 00:00:00:00:00:00 dst 172.31.0.11 dev vx-submariner',
    ]);
  });

  test('a node was added and one renumbered', async () => {
    const at = stage(eastHost(1), 1);
    await plan(at);
    at.nodes.set([EAST_NODES[0]!, node('east-2', '172.31.0.22'), EAST_NODES[2]!, node('east-4', '172.31.0.14')]);
    expect(await plan(at)).toEqual([
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.14 dev vx-submariner',
      '+ fdb 00:00:00:00:00:00 dst 172.31.0.22 dev vx-submariner',
      '+ fdb 02:53:f0:1f:00:0e dst 172.31.0.14 dev vx-submariner',
      '+ fdb 02:53:f0:1f:00:16 dst 172.31.0.22 dev vx-submariner',
      '- nft set inet submariner-routeagent nodes 172.31.0.12',
      '+ nft set inet submariner-routeagent nodes 172.31.0.14',
      '+ nft set inet submariner-routeagent nodes 172.31.0.22',
      '- fdb 00:00:00:00:00:00 dst 172.31.0.12 dev vx-submariner',
      '- fdb 02:53:f0:1f:00:0c dst 172.31.0.12 dev vx-submariner',
    ]);
  });

  test('a node that may become the gateway knows the VTEPs of all nodes before', async () => {
    const at = stage(eastHost(2), 2);
    await plan(at);
    const [one, two, three] = EAST_NODES;
    const labels = { 'submariner.io/gateway': 'true' };
    at.nodes.set([one!, { ...two!, metadata: { ...two!.metadata, labels } }, three!]);
    expect(await plan(at)).toEqual([
      '+ fdb 02:53:f0:1f:00:0b dst 172.31.0.11 dev vx-submariner',
      '+ fdb 02:53:f0:1f:00:0d dst 172.31.0.13 dev vx-submariner',
    ]);
  });

  test('an annotation fixes the segment size; one that makes no sense is told', async () => {
    const host = eastHost(2);
    const at = stage(host, 2);
    at.nodes.set([EAST_NODES[0]!, node('east-2', '172.31.0.12', { 'submariner.io/tcp-clamp-mss': '1300' })]);
    await plan(at);
    expect(host.nft.list('submariner-routeagent')).toContain('maxseg size set 1300');
  });
});

describe('care', () => {
  test('nothing is written before both stores are synced', async () => {
    const host = eastHost(2);
    const at = stage(host, 2);
    await plan(at);
    at.nodes.set([]);
    at.endpoints.set([]);
    for (const store of [at.nodes, at.endpoints]) {
      store.synced = false;
      const before = host.snapshot();
      expect(await plan(at)).toEqual([]);
      expect(host.snapshot()).toEqual(before);
      store.synced = true;
    }
  });

  test('when the network of the nodes cannot be told, nothing is changed', async () => {
    const host = eastHost(2);
    const at = stage(host, 2);
    await plan(at);
    host.do('ip link set dev eth0 down');
    host.do('ip addr del 172.31.0.12/24 dev eth0');
    const before = host.snapshot();
    await expect(plan(at)).rejects.toThrow("no link has the node's address 172.31.0.12");
    expect(host.snapshot()).toEqual(before);
  });
});

describe('as a daemon', () => {
  test('follows the stores, tells what it did, and leaves the network when it stops', async () => {
    const host = eastHost(2);
    const at = stage(host, 2, { probe: () => Promise.resolve({ rttMs: 1.5 }) });
    const stop = new AbortController();
    const running = at.daemon.run(stop.signal);
    const connected = await eventually(
      () => at.published.find(({ status }) => status.remoteEndpoints[0]?.status === 'connected'),
      'west connected',
    );
    expect(connected).toMatchObject({
      kind: 'RouteAgent',
      metadata: {
        name: 'east-2',
        namespace: 'submariner-operator',
        ownerReferences: [{ kind: 'Node', name: 'east-2', uid: 'uid-east-2' }],
      },
      status: {
        version: '1.2.3',
        statusFailure: '',
        remoteEndpoints: [
          { statusMessage: '', spec: { cluster_id: 'west' }, latencyRTT: { last: '1.5ms', stdDev: '0s' } },
        ],
      },
    });
    at.endpoints.set([EAST_GATEWAY, WEST, THIRD]);
    await eventually(() => host.snapshot().some((line) => line.includes('10.132.0.0/16')), 'route to north');
    host.nft.flushChain('submariner-routeagent', 'source');
    at.daemon.trigger();
    await eventually(() => host.nft.list('submariner-routeagent').includes('snat ip to ip saddr'), 'repair');
    const before = host.snapshot();
    stop.abort();
    await running;
    expect(host.snapshot()).toEqual(before);
  });

  test('says what it refuses and why', async () => {
    const at = stage(eastHost(2), 2);
    const clash = endpoint('south', 'south-1', '172.34.0.11', ['10.130.64.0/20'], '2030-01-03T00:00:00Z');
    const broken = { ...WEST, metadata: { name: 'broken' }, spec: { cluster_id: 'x' } };
    at.endpoints.set([EAST_GATEWAY, WEST, clash, broken]);
    const stop = new AbortController();
    const running = at.daemon.run(stop.signal);
    const { status } = await eventually(() => at.published[0], 'a status');
    stop.abort();
    await running;
    expect(status.statusFailure).toMatch(/^Endpoint broken: .*subnets is empty/);
    expect(
      status.remoteEndpoints.map(({ spec, status: state, statusMessage }) => [spec.cluster_id, state, statusMessage]),
    ).toEqual([
      ['south', 'error', 'CIDRs of cluster south clash: 10.130.64.0/20 overlaps 10.130.0.0/16 of east'],
      ['west', 'none', ''],
    ]);
  });

  test('a failing kernel is told and tried again', async () => {
    const host = eastHost(2);
    host.countWritesOnly();
    host.failAt(1);
    const at = stage(host, 2);
    const stop = new AbortController();
    const running = at.daemon.run(stop.signal);
    const first = await eventually(() => at.published[0], 'a status');
    expect(first.status.statusFailure).toContain('+ link vx-submariner');
    await eventually(() => at.published.at(-1)?.status.statusFailure === '', 'recovery');
    stop.abort();
    await running;
    expect(host.snapshot().some((line) => line.startsWith('link vx-submariner'))).toBe(true);
  });
});
