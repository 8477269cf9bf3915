import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RouteAgentDaemon } from '../../src/routeagent/routeagent.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { EAST_NODES, FixedStore, endpoint, node, stage } from '../routeagent/stage.ts';
import { Namespaces } from './namespaces.ts';

/**
 * East: gateway (172.31.0.11) and worker (.12), each with a pod; west: one node that is its gateway, with a pod. In
 * place of a cable: a plain route in the engine's table 100, with a small MTU.
 */
const SIGNAL = new AbortController().signal;
const EAST = endpoint('east', 'east-1', '172.31.0.11', ['100.66.0.0/16', '10.130.0.0/16']);
const WEST = endpoint('west', 'west-1', '172.32.0.11', ['100.67.0.0/16', '10.131.0.0/16']);
const CABLE_MTU = 1300;
const spaces = new Namespaces();

function addPod(host: string, pod: string, network: string): void {
  spaces.add(pod);
  spaces.wire(host, `v-${pod}`, pod, 'eth0');
  spaces.ip(
    host,
    `link add cni0 type bridge
     addr add ${network}.1/24 dev cni0
     link set v-${pod} master cni0
     link set cni0 up`,
  );
  spaces.ip(
    pod,
    `addr add ${network}.10/24 dev eth0
     route add default via ${network}.1`,
  );
}

function westDaemon(): RouteAgentDaemon {
  return new RouteAgentDaemon({
    config: {
      clusterId: 'west',
      nodeName: 'west-1',
      namespace: 'submariner-operator',
      version: 'x',
      podCidrs: ['10.131.0.0/16'],
      serviceCidrs: ['100.67.0.0/16'],
      healthCheck: { enabled: false, intervalMs: 1000, maxLosses: 3 },
    },
    endpoints: new FixedStore([EAST, WEST]),
    nodes: new FixedStore([node('west-1', '172.32.0.11')]),
    runner: spaces.runner('wg'),
    logger: silentLogger,
    probe: () => Promise.resolve({ failure: '' }),
    publish: () => Promise.resolve(),
  });
}

/** Asks the server on port 8080 which address it sees. */
function seenBy(server: string, client: string, from = ''): string {
  return spaces
    .sh(client, `socat -T2 - TCP:${server}:8080,connect-timeout=3${from === '' ? '' : `,bind=${from}`} </dev/null`)
    .trim();
}

function serve(pod: string): void {
  spaces.start(pod, "socat TCP-LISTEN:8080,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'");
}

function listening(pod: string): boolean {
  return spaces.sh(pod, 'ss -Htln').includes(':8080');
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('not within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function buildNetwork(): void {
  spaces.add('eg', 'ew', 'wg');
  spaces.wire('eg', 'lan', 'ew', 'lan');
  spaces.wire('eg', 'submariner', 'wg', 'submariner');
  addPod('eg', 'epg', '10.130.1');
  addPod('ew', 'epw', '10.130.2');
  addPod('wg', 'wp', '10.131.1');
  spaces.ip(
    'eg',
    `addr add 172.31.0.11/24 dev lan
     addr add 198.18.0.1/24 dev submariner
     link set submariner mtu ${CABLE_MTU}
     route add 10.130.2.0/24 via 172.31.0.12
     route add default via 198.18.0.254
     rule add pref 100 lookup 100
     route add 10.131.0.0/16 via 198.18.0.2 table 100 src 10.130.1.1
     route add 100.67.0.0/16 via 198.18.0.2 table 100 src 10.130.1.1`,
  );
  spaces.ip(
    'ew',
    `addr add 172.31.0.12/24 dev lan
     route add 10.130.1.0/24 via 172.31.0.11
     route add default via 172.31.0.11`,
  );
  spaces.ip(
    'wg',
    `addr add 172.32.0.11/32 dev lo
     addr add 198.18.0.2/24 dev submariner
     link set submariner mtu ${CABLE_MTU}
     route add default via 198.18.0.254
     rule add pref 100 lookup 100
     route add 10.130.0.0/16 via 198.18.0.1 table 100 src 10.131.1.1
     route add 100.66.0.0/16 via 198.18.0.1 table 100 src 10.131.1.1`,
  );
}

/** Strict source checks everywhere, as some distributions have them: the agent has to loosen what it needs. */
function setUpAsDistribution(short: string): void {
  spaces.sh(
    short,
    'sysctl -q -w net.ipv4.ip_forward=1; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done',
  );
  // The cable's link is the engine's to loosen.
  if (short !== 'ew') spaces.sh(short, 'sysctl -q -w net.ipv4.conf.submariner.rp_filter=2');
  // A network that hides routers' advice: only the clamped segment size keeps large transfers going.
  spaces.sh(
    short,
    'nft add table ip quiet; nft add chain ip quiet out "{ type filter hook output priority 0; }"; nft add rule ip quiet out icmp type destination-unreachable icmp code frag-needed drop',
  );
}

beforeAll(async () => {
  buildNetwork();
  for (const short of ['eg', 'ew', 'wg']) setUpAsDistribution(short);
  await repair();
  for (const pod of ['epg', 'epw', 'wp']) serve(pod);
  await until(() => ['epg', 'epw', 'wp'].every(listening));
}, 30_000);
afterAll(() => spaces.remove());

const ADDRESS = { epg: '10.130.1.10', epw: '10.130.2.10', wp: '10.131.1.10' } as const;
const NODE_ADDRESS = { eg: '10.130.1.1', ew: '10.130.2.1', wg: '10.131.1.1' } as const;

/** What flannel and kindnet do: everything that leaves the pod CIDR gets the node's address. */
function masquerade(tool: string, short: string, verb: '-A' | '-D'): void {
  const pods = short === 'wg' ? '10.131.0.0/16' : '10.130.0.0/16';
  spaces.sh(short, `${tool} -t nat ${verb} POSTROUTING -s ${pods} ! -d ${pods} -j MASQUERADE`);
}

/** What kube-proxy does for a Service, masquerading clients from outside of the cluster. */
function service(tool: string, verb: '-A' | '-D'): void {
  spaces.sh(
    'eg',
    `${tool} -t nat ${verb} PREROUTING -d 100.66.0.10 -p tcp --dport 8080 -j DNAT --to-destination 10.130.2.10:8080`,
  );
  spaces.sh('eg', `${tool} -t nat ${verb} POSTROUTING ! -s 10.130.0.0/16 -d 10.130.0.0/16 -j MASQUERADE`);
}

describe.each(['none', 'iptables-nft', 'iptables-legacy'])('next to a CNI that masquerades with %s', (tool) => {
  beforeAll(() => {
    if (tool === 'none') return;
    for (const short of ['eg', 'ew', 'wg']) masquerade(tool, short, '-A');
    service(tool, '-A');
  });
  afterAll(() => {
    if (tool === 'none') return;
    for (const short of ['eg', 'ew', 'wg']) masquerade(tool, short, '-D');
    service(tool, '-D');
  });

  test.each([
    ['epw', 'wp'],
    ['epg', 'wp'],
    ['wp', 'epw'],
    ['wp', 'epg'],
  ] as const)('the pod %s is seen by %s with its own address', (client, server) => {
    expect(seenBy(ADDRESS[server], client)).toBe(ADDRESS[client]);
  });

  test.each([
    ['ew', 'wp'],
    ['eg', 'wp'],
    ['wg', 'epw'],
  ] as const)('the node %s is seen by the pod %s with its address in the pod network', (client, server) => {
    expect(seenBy(ADDRESS[server], client)).toBe(NODE_ADDRESS[client]);
  });

  test.each([
    ['ew', '172.31.0.12'],
    ['eg', '172.31.0.11'],
  ] as const)('the node %s also when its program has chosen the address %s', (client, address) => {
    expect(seenBy(ADDRESS.wp, client, address)).toBe(NODE_ADDRESS[client]);
  });

  if (tool !== 'none') {
    test('a Service shows its pods the address of the remote pod', () => {
      expect(seenBy('100.66.0.10', 'wp')).toBe(ADDRESS.wp);
    });
  }
});

/** Brings back what a control of a test took away. */
async function repair(): Promise<void> {
  for (const [short, k] of [
    ['eg', 1],
    ['ew', 2],
  ] as const) {
    const at = stage(spaces.runner(short), k);
    at.nodes.set(EAST_NODES.slice(0, 2));
    await at.daemon.reconcile(SIGNAL);
  }
  await westDaemon().reconcile(SIGNAL);
}

test('without our rules the masquerade wins: the control of the tests above', async () => {
  masquerade('iptables-nft', 'eg', '-A');
  for (const short of ['eg', 'ew']) spaces.sh(short, 'nft flush chain inet submariner-routeagent source');
  expect(seenBy(ADDRESS.wp, 'epg')).toBe('198.18.0.1');
  masquerade('iptables-nft', 'eg', '-D');
  await repair();
  expect(seenBy(ADDRESS.wp, 'epg')).toBe(ADDRESS.epg);
});

describe('a cable smaller than the pods think, and nobody tells', () => {
  const transfer = async (server: 'wp' | 'epw', client: 'wp' | 'epw', port: number): Promise<void> => {
    spaces.start(server, `socat -u TCP-LISTEN:${port},reuseaddr OPEN:/dev/null`);
    await until(() => spaces.sh(server, 'ss -Htln').includes(`:${port}`));
    spaces.sh(
      client,
      `head -c 300000 /dev/zero | timeout 2 socat -u - TCP:${ADDRESS[server]}:${port},connect-timeout=1`,
    );
  };

  test('large transfers stall without clamped segments: the control', async () => {
    for (const short of ['eg', 'ew', 'wg']) spaces.sh(short, 'nft flush chain inet submariner-routeagent segments');
    await expect(transfer('wp', 'epw', 8081)).rejects.toThrow();
    await repair();
  });

  test('and pass with them, in both directions', async () => {
    await transfer('wp', 'epw', 8082);
    await transfer('epw', 'wp', 8083);
  });
});

test('the overlay takes packets from nodes of the cluster only', async () => {
  const received = (): number => Number(spaces.sh('ew', 'cat /sys/class/net/vx-submariner/statistics/rx_packets'));
  // RFC 7348: flags, VNI 100, then an Ethernet frame.
  const header = ['08', '00', '00', '00', '00', '00', '64', '00'];
  const frame = [
    ...Array<string>(6).fill('ff'),
    '02',
    '00',
    '00',
    '00',
    '00',
    '01',
    '08',
    '00',
    ...Array<string>(46).fill('00'),
  ];
  const packet = [...header, ...frame].map((byte) => `\\${parseInt(byte, 16).toString(8).padStart(3, '0')}`).join('');
  const send = (from: string): string =>
    spaces.sh('eg', `printf '${packet}' | socat -u - UDP:172.31.0.12:4800,bind=${from}`);
  spaces.ip('eg', 'addr add 172.31.0.99/24 dev lan');
  const before = received();
  send('172.31.0.99');
  send('172.31.0.11');
  await until(() => received() > before);
  expect(received()).toBe(before + 1);
});

test('a gateway carries at once, though its engine still lets in only what other nodes send', async () => {
  spaces.ip(
    'eg',
    `rule add pref 100 iif vx-submariner lookup 100
     rule del pref 100 lookup 100`,
  );
  expect(spaces.sh('eg', 'ip rule')).not.toMatch(/^100:\s+from all lookup 100/m);
  expect(seenBy(ADDRESS.wp, 'epg')).toBe(ADDRESS.epg);
  expect(seenBy(ADDRESS.wp, 'epw')).toBe(ADDRESS.epw);
  spaces.ip(
    'eg',
    `rule add pref 100 lookup 100
     rule del pref 100 iif vx-submariner lookup 100`,
  );
});

test('a gateway that was off and is back is reached at once, though its neighbours remember it', async () => {
  const memory = (): string => spaces.sh('ew', 'ip neigh show 240.31.0.11 dev vx-submariner');
  expect(seenBy(ADDRESS.wp, 'epw')).toBe(ADDRESS.epw);
  expect(memory()).toContain('lladdr');
  spaces.ip('eg', 'link del vx-submariner');
  await repair();
  expect(memory()).toContain('lladdr');
  expect(spaces.sh('epw', `ping -n -c 1 -W 1 ${ADDRESS.wp}`)).toContain('1 received');
});

test('while no gateway is known packets are refused at once, not sent anywhere', async () => {
  const at = stage(spaces.runner('ew'), 2);
  at.nodes.set(EAST_NODES.slice(0, 2));
  at.endpoints.set([WEST]);
  await at.daemon.reconcile(SIGNAL);
  expect(spaces.sh('epw', `ping -n -c 1 -W 2 ${ADDRESS.wp} || true`)).toMatch(/Destination Host Unreachable/);
  await repair();
  expect(seenBy(ADDRESS.wp, 'epw')).toBe(ADDRESS.epw);
});
