import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { watchNetwork } from '../../src/host/monitor.ts';
import { probeOnce } from '../../src/host/probe.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { RELEVANT } from '../../src/routeagent/relevant.ts';
import { eventually } from '../routeagent/stage.ts';
import { Namespaces } from './namespaces.ts';

const spaces = new Namespaces();
const stop = new AbortController();
let watching: Promise<void> = Promise.resolve();

beforeAll(() => {
  spaces.add('n');
  spaces.ip(
    'n',
    `link add eth0 type veth peer name peer0
     addr add 172.31.0.12/24 dev eth0
     link set eth0 up
     link set peer0 up
     link add vx-submariner type vxlan id 100 dstport 4800 local 172.31.0.12 nolearning
     link set vx-submariner up
     route add unreachable 10.131.0.0/16 proto 154
     rule add pref 150 lookup 150`,
  );
  spaces.sh('n', 'nft add table inet submariner-routeagent; nft add table inet other');
});
afterAll(async () => {
  stop.abort();
  await watching;
  spaces.remove();
});

test('changes of our objects are noticed', async () => {
  let seen = 0;
  watching = watchNetwork(
    { logger: silentLogger, namespace: spaces.name('n') },
    RELEVANT,
    () => (seen += 1),
    stop.signal,
  );
  const noticed = async (command: string): Promise<void> => {
    const before = seen;
    spaces.sh('n', command);
    await eventually(() => seen > before, `${command} noticed`);
  };
  // Each program is listening as soon as it has reported something.
  for (const knock of [
    'ip link set vx-submariner mtu 1400; ip link set vx-submariner mtu 1450',
    'nft add table inet submariner-routeagent; nft delete table inet submariner-routeagent',
  ]) {
    const before = seen;
    await eventually(() => {
      if (seen > before) return true;
      spaces.sh('n', knock);
      return false;
    }, `heard: ${knock}`);
  }
  spaces.sh('n', 'nft add table inet submariner-routeagent');
  for (const command of [
    'ip route del 10.131.0.0/16',
    'ip rule del pref 150',
    'ip addr add 172.31.0.99/24 dev eth0',
    'ip link del vx-submariner',
    'nft flush ruleset',
  ]) {
    await noticed(command);
  }
}, 20_000);

test.each([
  ['10.131.0.0/16 via 240.31.0.11 dev vx-submariner proto 154 src 10.130.2.1', true],
  ['Deleted unreachable 10.131.0.0/16 proto 154', true],
  ['Deleted 150:\tfrom all lookup 150 proto 154', true],
  ['delete table inet submariner-routeagent', true],
  ['2: eth0    inet 172.31.0.99/24 scope global secondary eth0', true],
  ['Deleted default via 172.31.0.1 dev eth0', true],
  ['10.9.0.0/16 dev eth0 scope link', false],
  ['7: veth1234@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default', false],
  ['delete table ip foreign', false],
  ['1540:\tfrom all lookup 99', false],
])('%j concerns us: %s', (line, expected) => expect(RELEVANT.test(line)).toBe(expected));

test('a probe gives a time or a reason', async () => {
  const runner = spaces.runner('n');
  expect(await probeOnce(runner, { address: '127.0.0.1' })).toEqual({ rttMs: expect.any(Number) });
  expect(await probeOnce(runner, { address: '10.200.0.1' })).toEqual({
    failure: expect.stringMatching(/unreachable/i),
  });
});
