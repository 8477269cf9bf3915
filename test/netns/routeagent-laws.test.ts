import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { CommandError, type CommandRunner } from '../../src/host/command.ts';
import { describePlan } from '../../src/net/plan.ts';
import { EAST_GATEWAY, EAST_NODES, WEST, endpoint, stage, type Stage } from '../routeagent/stage.ts';
import { isLook } from './looks.ts';
import { Namespaces } from './namespaces.ts';

const SIGNAL = new AbortController().signal;
const THIRD = endpoint('north', 'north-1', '172.33.0.11', ['100.68.0.0/16', '10.132.0.0/16']);
const MOVED = endpoint('east', 'east-3', '172.31.0.13', ['100.66.0.0/16', '10.130.0.0/16'], '2030-01-02T00:00:00Z');

let spaces: Namespaces;

/** Node k of cluster east, with things others made. */
function build(short: string, k: number): void {
  spaces.add(short);
  spaces.ip(
    short,
    `link add eth0 type veth peer name peer0
     addr add 172.31.0.${10 + k}/24 dev eth0
     link set eth0 up
     link set peer0 up
     link add cni0 type bridge
     addr add 10.130.${k}.1/24 dev cni0
     link set cni0 up
     route add default via 172.31.0.1 dev eth0
     route add 10.77.0.0/16 via 172.31.0.9 dev eth0 proto 4
     rule add pref 99 lookup 99
     route add 10.78.0.0/16 dev eth0 table 99
     link add vx-foreign type vxlan id 7 dstport 4799 local 172.31.0.${10 + k} nolearning`,
  );
  spaces.sh(
    short,
    'nft add table inet kube-proxy; nft add chain inet kube-proxy x; nft add rule inet kube-proxy x drop',
  );
}

/** Everything in the namespace but what is ours, and but what the kernel counts or makes of itself. */
function foreign(short: string): string {
  const own = /vx-submariner|table 150\b|^150:|proto 154|fe80|ff00|valid_lft|link\/ether/;
  const text = spaces.sh(
    short,
    'ip addr; ip -d link show vx-foreign | grep id; ip route show table all; ip rule; nft list tables; nft list table inet kube-proxy',
  );
  return text
    .split('\n')
    .filter((line) => !own.test(line) && !line.includes('submariner-routeagent'))
    .map((line) => line.replace(/^\d+: (?=\S+: <)/, '').replace(/ state UNKNOWN| qdisc \S+/g, ''))
    .join('\n');
}

async function plan(at: Stage): Promise<readonly string[]> {
  const text = describePlan(await at.daemon.reconcile(SIGNAL));
  return text === '' ? [] : text.split('\n');
}

/** Whether the command only reads. */
/** Fails the n-th command that changes something; nothing of it happens. */
function failing(inner: CommandRunner, n: number): CommandRunner & { readonly count: () => number } {
  let writes = 0;
  return {
    count: () => writes,
    run: async (file, args, options) => {
      if (!isLook(file, args, options)) {
        writes += 1;
        if (writes === n) throw new CommandError(file, args, { exitCode: 1, stdout: '', stderr: 'made to fail\n' });
      }
      return inner.run(file, args, options);
    },
  };
}

describe('the four laws on the kernel', () => {
  beforeEach(() => {
    spaces = new Namespaces();
  });
  afterEach(() => spaces.remove());

  const stories: readonly [string, number, (at: Stage) => void][] = [
    ['worker', 2, (at) => at.endpoints.set([EAST_GATEWAY, THIRD])],
    ['gateway', 1, (at) => at.nodes.set(EAST_NODES.slice(0, 2))],
    ['becomes gateway', 3, (at) => at.endpoints.set([MOVED, WEST])],
    ['no gateway any more', 1, (at) => at.endpoints.set([WEST])],
  ];

  test.each(stories)('%s: programmed, changed, restarted, cleaned up; others untouched', async (_name, k, change) => {
    build('n', k);
    const before = foreign('n');
    const at = stage(spaces.runner('n'), k);
    expect((await plan(at)).length).toBeGreaterThan(8);
    expect(await plan(at)).toEqual([]);
    expect(foreign('n')).toBe(before);
    const restarted = stage(spaces.runner('n'), k);
    change(restarted);
    expect((await plan(restarted)).length).toBeGreaterThan(0);
    expect(await plan(restarted)).toEqual([]);
    expect(foreign('n')).toBe(before);
    await restarted.daemon.cleanup();
    expect(foreign('n')).toBe(before);
    expect(spaces.sh('n', 'ip link; ip rule; ip route show table all; nft list tables')).not.toMatch(
      /submariner|proto 154|table 150|lookup 150|^149:/m,
    );
  });

  test('failure sweep: whichever command fails, it converges', async () => {
    const stepped = async (n: number, short: string): Promise<number> => {
      build(short, 3);
      const before = foreign(short);
      await plan(stage(spaces.runner(short), 3));
      const runner = failing(spaces.runner(short), n);
      const at = stage(runner, 3);
      at.endpoints.set([MOVED, THIRD]);
      if (n === 0) await plan(at);
      else await expect(plan(at)).rejects.toThrow('made to fail');
      for (let round = 0; round < 3; round += 1) await plan(at);
      expect(await plan(at)).toEqual([]);
      expect(foreign(short)).toBe(before);
      return runner.count();
    };
    const writes = await stepped(0, 'n0');
    expect(writes).toBeGreaterThanOrEqual(3);
    for (let n = 1; n <= writes; n += 1) await stepped(n, `n${n}`);
  }, 90_000);
});

describe('drift', () => {
  let at: Stage;
  beforeAll(() => {
    spaces = new Namespaces();
    build('n', 2);
    at = stage(spaces.runner('n'), 2);
  });
  afterAll(() => spaces.remove());

  test.each([
    ['nft flush ruleset', /\+ nft table/],
    ['nft flush chain inet submariner-routeagent source', /~ nft table/],
    ['nft insert rule inet submariner-routeagent segments drop', /~ nft table/],
    ["nft add table inet submariner-routeagent '{ flags dormant; }'", /~ nft table/],
    [
      'nft delete element inet submariner-routeagent remote { 10.131.0.0/16 }',
      /^\+ nft set inet \S+ remote 10.131.0.0\/16$/,
    ],
    ['ip link del vx-submariner', /\+ link vx-submariner/],
    ['ip link set vx-submariner down', /~ link vx-submariner/],
    ['ip link set vx-submariner mtu 1300', /~ link vx-submariner/],
    ['ip link set vx-submariner address 02:00:00:00:00:07', /~ link vx-submariner .* address 02:53:f0/],
    ['ip addr flush dev vx-submariner', /\+ address 240/],
    ['ip route del 10.131.0.0/16', /^\+ route 10.131.0.0\/16/],
    ['bridge fdb del 00:00:00:00:00:00 dev vx-submariner dst 172.31.0.11', /^\+ fdb/],
    ['sysctl -w net.ipv4.ip_forward=0', /sysctl net.ipv4.ip_forward=1 \(was 0\)/],
    ['ip route add 10.5.0.0/16 dev cni0 proto 154', /^- route 10.5.0.0\/16/],
    ['ip rule add pref 150 lookup 150', /^- rule pref 150/],
    ['ip rule add pref 149 lookup 100', /^- rule pref 149/],
  ])('%s is repaired', async (command, expected) => {
    await plan(at);
    spaces.sh('n', command);
    expect((await plan(at)).join('\n')).toMatch(expected);
    expect(await plan(at)).toEqual([]);
  });
});
