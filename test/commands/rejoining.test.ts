import { expect, test } from '@jest/globals';
import type { Submariner } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { DaemonSet } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { recallOptions } from '../../src/commands/join/record.ts';
import type { JoinOptions } from '../../src/commands/join/options.ts';
import { settingChanges } from '../../src/commands/join/changes.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness, type HarnessOptions, node, type RunOutcome, withControllers } from './harness.ts';

const BROKER = 'submariner-k8s-broker';
const CIDRS = ['--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16'];
const WEST = ['join', 'broker-info.subm', '--context', 'west'];

interface Set {
  readonly harness: Harness;
  readonly east: FakeKube;
  readonly west: FakeKube;
}

async function brokerAndWest(options: HarnessOptions = {}): Promise<Set> {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  west.seed(RESOURCES.nodes, node('west-1'));
  const harness = new Harness({ east, west }, options);
  good(await harness.run('deploy-broker', '--context', 'east'));
  return { harness, east, west };
}

function good(outcome: RunOutcome): RunOutcome {
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return outcome;
}

const submariner = (kube: FakeKube): Submariner => kube.all<Submariner & KubeObject>(RESOURCES.submariners)[0]!;

/** Nobody plays the DaemonSet controller for a changed template: what join writes counts, not that it waits. */
function settle(kube: FakeKube): void {
  for (const daemonSet of kube.all<DaemonSet>(RESOURCES.daemonSets)) {
    const status = { ...daemonSet.status, observedGeneration: daemonSet.metadata.generation ?? 1 };
    const { name = '', namespace = '' } = daemonSet.metadata;
    void kube.patch(RESOURCES.daemonSets, name, { status }, { namespace, patchType: 'merge', subresource: 'status' });
  }
}

function withPatientControllers(kube: FakeKube): FakeKube {
  const plain = kube.onCall!;
  kube.onCall = (call) => {
    const result = plain(call);
    if (call.verb === 'get' && call.resource === 'daemonsets') settle(kube);
    return result;
  };
  return kube;
}

const UNUSUAL = (
  '--cable-driver wireguard --cable-driver-change now --natt=false --nattport 4501 --public-ip 198.51.100.7 --interface eth1 ' +
  '--health-check-interval 3 --health-check-max-packet-loss-count 7 --preferred-server ' +
  '--force-udp-encaps --air-gapped --pod-debug --ipsec-debug --http-proxy http://p:1 --https-proxy http://p:2 ' +
  '--no-proxy example --repository registry.example/net --version 1.2 --image-override submariner-routeagent=r/x:2 ' +
  '--check-broker-certificate=false --gateway-lease-duration 10 --gateway-renew-deadline 7 ' +
  '--gateway-retry-period 2 --gateway-probe-interval 250 --globalnet-cidr 242.1.0.0/16 --globalnet-cluster-size 1024 ' +
  '--globalnet=false --load-balancer --enable-clusterset-ip --clusterset-ip-cidr 243.1.0.0/16 ' +
  '--custom-domains a.example,b.example --coredns-custom-configmap dns/custom '
)
  .trim()
  .split(' ');

test('a second join without flags keeps every flag of the first', async () => {
  const { harness, west } = await brokerAndWest();
  const first = good(await harness.run(...WEST, ...CIDRS, ...UNUSUAL));
  expect(first.stderr).toContain(
    'recorded, without effect in this version: --globalnet-cidr, --globalnet-cluster-size, --custom-domains, ' +
      '--coredns-custom-configmap, --clusterset-ip-cidr, --enable-clusterset-ip, --load-balancer',
  );
  const before = structuredClone(submariner(west));
  const daemonSets = structuredClone(west.all(RESOURCES.daemonSets));
  expect(before.spec).toMatchObject({
    globalCIDR: '242.1.0.0/16',
    clustersetIPCIDR: '243.1.0.0/16',
    clustersetIPEnabled: true,
    coreDNSCustomConfig: { namespace: 'dns', configMapName: 'custom' },
  });
  const again = good(await harness.run(...WEST));
  expect(again.stdout).not.toMatch(/created|configured/);
  expect(submariner(west)).toEqual(before);
  expect(west.all(RESOURCES.daemonSets)).toEqual(daemonSets);
});

test('a flag that is given changes only its setting, after somebody agreed', async () => {
  const { harness, west } = await brokerAndWest();
  withPatientControllers(west);
  good(await harness.run(...WEST, ...CIDRS, ...UNUSUAL));
  const writes = west.writes.length;
  const refused = await harness.run(...WEST, '--cable-driver', 'vxlan', '--natt', '--public-ip', '');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(
    'nobody agreed to the changes of cluster west: cableDriver: wireguard -> vxlan; natEnabled: false -> true; public-ip: ipv4:198.51.100.7 -> none',
  );
  expect(refused.stderr).toContain('--yes');
  expect(west.writes.slice(writes).filter(({ resource }) => resource !== 'services')).toEqual([]);

  good(await harness.run(...WEST, '--cable-driver', 'vxlan', '--natt', '--public-ip', '', '--yes'));
  expect(submariner(west).spec).toMatchObject({ cableDriver: 'vxlan', natEnabled: true, ceIPSecNATTPort: 4501 });
  expect(submariner(west).metadata.annotations).not.toHaveProperty('subctl.submariner.io/public-ip');
  expect(submariner(west).metadata.annotations).toMatchObject({ 'subctl.submariner.io/interface': 'eth1' });
});

test('on a terminal the question decides', async () => {
  const asked: string[] = [];
  let answer = false;
  const prompter = {
    confirm: async (question: string): Promise<boolean> => {
      asked.push(question);
      return answer;
    },
  };
  const { harness, west } = await brokerAndWest({ interactive: true, prompter });
  withPatientControllers(west);
  good(await harness.run(...WEST, ...CIDRS));
  expect(await harness.run(...WEST, '--nattport', '4600')).toMatchObject({ exitCode: 1 });
  expect(submariner(west).spec.ceIPSecNATTPort).toBe(4500);
  answer = true;
  good(await harness.run(...WEST, '--nattport', '4600'));
  expect(submariner(west).spec.ceIPSecNATTPort).toBe(4600);
  expect(asked).toHaveLength(2);
});

test.each([
  [['--gateway-lease-duration', '4'], '4 > 4 > 1'],
  [['--gateway-retry-period', '9'], '5 > 4 > 9'],
  [['--gateway-lease-duration', '0'], 'whole number from 1 to 300'],
  [['--gateway-renew-deadline', 'soon'], 'whole number from 1 to 300'],
])('lease times %j make no sense', async (flags, says) => {
  const { harness, west } = await brokerAndWest();
  const outcome = await harness.run(...WEST, ...CIDRS, ...flags);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain(says);
  expect(west.all(RESOURCES.daemonSets)).toEqual([]);
});

test('lease times reach the engine; recorded ones count for those given later', async () => {
  const { harness, west } = await brokerAndWest();
  withPatientControllers(west);
  good(await harness.run(...WEST, ...CIDRS, '--gateway-lease-duration', '10', '--gateway-renew-deadline', '8'));
  const env = (): unknown =>
    west.all<DaemonSet>(RESOURCES.daemonSets).find(({ metadata }) => metadata.name === 'submariner-gateway')!.spec
      .template.spec.containers[0]!.env;
  expect(env()).toEqual(expect.arrayContaining([{ name: 'LEADERSHIP_LEASEDURATION', value: '10' }]));
  const outcome = await harness.run(...WEST, '--gateway-lease-duration', '7', '--yes');
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain('7 > 8 > 1');
});

/** Fails the first apply in the cluster, as if the operator had pressed Ctrl-C after the claim. */
async function interruptedJoin({ harness, west }: Set, ...flags: readonly string[]): Promise<void> {
  const plain = west.onCall!;
  west.onCall = (call) => (call.verb === 'apply' ? new Error('interrupted') : plain(call));
  expect(await harness.run(...WEST, ...CIDRS, ...flags)).toMatchObject({ exitCode: 70 });
  west.onCall = plain;
}

const accounts = (kube: FakeKube): readonly (string | undefined)[] =>
  kube
    .all(RESOURCES.serviceAccounts, BROKER)
    .map(({ metadata }) => metadata.name)
    .filter((name) => name?.startsWith('cluster-'));

test('a join goes on under the ID that an interrupted one claimed', async () => {
  const set = await brokerAndWest();
  await interruptedJoin(set, '--clusterid', 'w1');
  good(await set.harness.run(...WEST, ...CIDRS));
  expect(submariner(set.west).spec.clusterID).toBe('w1');
  expect(accounts(set.east)).toEqual(['cluster-w1']);
});

test('the claim of an interrupted join is given up for another ID, after somebody agreed', async () => {
  const set = await brokerAndWest();
  await interruptedJoin(set, '--clusterid', 'w1');
  const refused = await set.harness.run(...WEST, ...CIDRS, '--clusterid', 'w2');
  expect(refused).toMatchObject({ exitCode: 1 });
  expect(refused.stderr).toContain('claim of the ID w1 on the broker: given up');
  expect(refused.stderr).not.toContain('overlaps');
  expect(accounts(set.east)).toEqual(['cluster-w1']);
  good(await set.harness.run(...WEST, ...CIDRS, '--clusterid', 'w2', '--yes'));
  expect(submariner(set.west).spec.clusterID).toBe('w2');
  expect(accounts(set.east)).toEqual(['cluster-w2']);
  const bindings = set.east.all(RESOURCES.roleBindings, BROKER).map(({ metadata }) => metadata.name);
  expect(bindings.filter((name) => name?.includes('w1'))).toEqual([]);
});

test('several own claims are named and none is chosen', async () => {
  const set = await brokerAndWest();
  for (const id of ['w1', 'w2']) {
    set.east.seed(RESOURCES.serviceAccounts, {
      metadata: {
        name: `cluster-${id}`,
        namespace: BROKER,
        annotations: { 'subctl.submariner.io/claimed-by': 'uid-west' },
      },
    });
  }
  const outcome = await set.harness.run(...WEST, ...CIDRS);
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stderr).toContain('this cluster has claimed several IDs on the broker: w1, w2');
});

test('an object of upstream’s operator gives its settings, but not its images', () => {
  const spec = { cableDriver: 'vxlan', version: '0.20.0', repository: 'quay.io/submariner', debug: true };
  const made = { metadata: { name: 'submariner' }, spec } as unknown as Submariner;
  const options = { cableDriver: 'libreswan', podDebug: false } as JoinOptions;
  expect(recallOptions(options, () => false, made)).toMatchObject({ cableDriver: 'vxlan', podDebug: true });
  expect(recallOptions(options, () => false, made)).not.toHaveProperty('version');
  expect(recallOptions(options, (name) => name === 'cableDriver', made).cableDriver).toBe('libreswan');
});

test('what says the same in other words is no change', () => {
  const object = (spec: object, annotations: object = {}): Submariner =>
    ({ metadata: { annotations }, spec }) as unknown as Submariner;
  const health = { connectionHealthCheck: { enabled: true, intervalSeconds: 1 } };
  expect(settingChanges(object({ globalCIDR: '' }), object({}))).toEqual([]);
  expect(
    settingChanges(object(health), object({ connectionHealthCheck: { intervalSeconds: 2, enabled: true } })),
  ).toEqual([{ name: 'connectionHealthCheck.intervalSeconds', before: '1', after: '2' }]);
  expect(settingChanges(object({ brokerK8sCA: 'a' }), object({ brokerK8sCA: 'b' }))).toEqual([
    { name: 'brokerK8sCA', before: 'one', after: 'another' },
  ]);
  const source = { 'subctl.submariner.io/clustercidr-source': '--clustercidr', 'kubectl.io/x': '1' };
  expect(settingChanges(object({}, source), object({}))).toEqual([]);
});
