import { expect, test } from '@jest/globals';
import { statSync } from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeConnectionError } from '../../src/kube/errors.ts';
import type { DaemonSet, Secret } from '../../src/kube/objects.ts';
import type { Submariner } from '../../src/api/types.ts';
import { parseBrokerInfo, pskOf } from '../../src/api/brokerinfo.ts';
import { readToken } from '../../src/api/token.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { type FakeCall, FakeKube } from '../fakes/kube.ts';
import { Harness, type HarnessOptions, node, type RunOutcome, withControllers } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const EAST = ['--context', 'east', '--clustercidr', '10.130.0.0/16', '--servicecidr', '100.66.0.0/16'];
const WEST = ['--context', 'west', '--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16'];

function twoClusters(options: HarnessOptions = {}): { harness: Harness; east: FakeKube; west: FakeKube } {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  east.seed(RESOURCES.nodes, node('east-1'));
  west.seed(RESOURCES.nodes, node('west-1'));
  west.seed(RESOURCES.nodes, node('west-2'));
  return { harness: new Harness({ east, west }, options), east, west };
}

/** Shows stderr when a command that has to work does not. */
function good(outcome: RunOutcome): RunOutcome {
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return outcome;
}

/** The environment of a DaemonSet's container. */
function environment(kube: FakeKube, name: string): Readonly<Record<string, string | undefined>> {
  const daemonSet = kube.all<DaemonSet>(RESOURCES.daemonSets, NAMESPACE).find((one) => one.metadata.name === name)!;
  return Object.fromEntries(daemonSet.spec.template.spec.containers[0]!.env!.map((one) => [one.name, one.value]));
}

test('deploy-broker and join work, and running them again changes nothing', async () => {
  const { harness } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const file = harness.file('broker-info.subm');
  expect(statSync(path.join(harness.directory, 'broker-info.subm')).mode & 0o777).toBe(0o600);
  const joined = good(await harness.run('join', 'broker-info.subm', ...EAST));
  expect(joined.stdout).toContain('DaemonSet submariner-operator/submariner-gateway created');
  expect(joined.stdout).toContain('ServiceAccount submariner-k8s-broker/cluster-east created (on the broker)');

  good(await harness.run('deploy-broker', '--context', 'east'));
  expect(harness.file('broker-info.subm')).toBe(file);
  const again = good(await harness.run('join', 'broker-info.subm', ...EAST));
  expect(again.stdout).not.toMatch(/created|configured/);
  expect(again.stdout).toContain('unchanged');
});

test('a new pre-shared key is in the Secret, which running gateways follow, and in no manifest', async () => {
  const { harness, east } = twoClusters();
  const template = (): unknown =>
    east.all<DaemonSet>(RESOURCES.daemonSets, NAMESPACE).find(({ metadata }) => /gateway/.test(metadata.name ?? ''))
      ?.spec.template;
  const key = (): string | undefined =>
    east.all<Secret>(RESOURCES.secrets, NAMESPACE).find(({ metadata }) => /psk/.test(metadata.name ?? ''))?.data?.[
      'psk'
    ];
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run('join', 'broker-info.subm', ...EAST));
  const [before, pods] = [key(), template()];
  expect(before).toMatch(/^.{64}$/);
  good(await harness.run('deploy-broker', '--context', 'east', '--new-ipsec-psk'));
  good(await harness.run('join', 'broker-info.subm', ...EAST));
  expect(key()).toMatch(/^.{64}$/);
  expect(key()).not.toBe(before);
  expect(pods).toBeDefined();
  expect(template()).toEqual(pods);
});

test('join deploys what the flags say and records it', async () => {
  const { harness, west } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const flags = ['--clusterid', 'w', '--gateway-nodes', 'west-2', '--cable-driver', 'wireguard', '--natt=false'];
  const more = [
    '--nattport',
    '4501',
    '--health-check-interval',
    '3',
    '--public-ip',
    '198.51.100.7',
    '--interface',
    'eth1',
  ];
  const images = ['--repository', 'registry.example/net', '--version', '1.2', '--air-gapped', '--no-proxy', 'example'];
  const outcome = good(
    await harness.run('join', 'broker-info.subm', ...WEST, ...flags, ...more, ...images, '-o', 'json'),
  );
  expect(JSON.parse(outcome.stdout)).toMatchObject({
    clusterId: 'w',
    broker: 'https://east:6443',
    clusterCidrs: ['10.131.0.0/16'],
    clusterCidrSource: '--clustercidr',
    gatewayNodes: ['west-2'],
  });

  const submariner = west.all<Submariner & KubeObject>(RESOURCES.submariners)[0]!;
  expect(submariner.spec).toMatchObject({
    brokerK8sApiServer: 'east:6443',
    brokerK8sRemoteNamespace: 'submariner-k8s-broker',
    brokerK8sSecret: 'submariner-broker-secret',
    cableDriver: 'wireguard',
    ceIPSecNATTPort: 4501,
    ceIPSecPSKSecret: 'submariner-ipsec-psk',
    clusterCIDR: '10.131.0.0/16',
    serviceCIDR: '100.67.0.0/16',
    clusterID: 'w',
    natEnabled: false,
    airGappedDeployment: true,
    connectionHealthCheck: { enabled: true, intervalSeconds: 3, maxPacketLossCount: 5 },
  });
  expect(JSON.stringify(submariner.spec)).not.toContain('token-of');
  expect(submariner.status).toMatchObject({ clusterID: 'w', clusterCIDR: '10.131.0.0/16' });
  expect(environment(west, 'submariner-gateway')).toMatchObject({
    SUBMARINER_CLUSTERID: 'w',
    SUBMARINER_CABLEDRIVER: 'wireguard',
    SUBMARINER_NATENABLED: 'false',
    SUBMARINER_PUBLICIP: 'ipv4:198.51.100.7',
    SUBMARINER_INTERFACE: 'eth1',
    CE_IPSEC_NATTPORT: '4501',
    BROKER_K8S_APISERVER: 'east:6443',
    NO_PROXY: 'example',
  });
  const daemonSet = west.all<DaemonSet>(RESOURCES.daemonSets)[0]!;
  const container = daemonSet.spec.template.spec.containers[0]!;
  expect(container).toMatchObject({ image: 'registry.example/net/submariner-gateway:1.2' });
  expect(container.ports).toContainEqual({ name: 'tunnel', containerPort: 4501, hostPort: 4501, protocol: 'UDP' });
  const labelled = west
    .all(RESOURCES.nodes)
    .filter(({ metadata }) => metadata.labels?.['submariner.io/gateway'] === 'true');
  expect(labelled.map(({ metadata }) => metadata.name)).toEqual(['west-2']);

  const secret = (name: string): Secret =>
    west.all<Secret>(RESOURCES.secrets, NAMESPACE).find((one) => one.metadata.name === name)!;
  const decoded = (text = ''): string => Buffer.from(text, 'base64').toString();
  const token = decoded(secret('submariner-broker-secret').data!['token']);
  expect(readToken(token)).toMatchObject({ account: 'cluster-w', namespace: 'submariner-k8s-broker' });
  const psk = pskOf(parseBrokerInfo(harness.file('broker-info.subm')).info!)!;
  expect(secret('submariner-ipsec-psk').data!['psk']).toBe(psk.toString('base64'));
});

test('a dry run prints what join would apply and writes nothing on either side', async () => {
  const { harness, east, west } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const before = [east.writes.length, west.writes.length];
  const outcome = good(
    await harness.run('join', 'broker-info.subm', ...WEST, '--gateways', '1', '--dry-run', '-o', 'yaml'),
  );
  expect(west.writes.slice(before[1]).filter(({ resource }) => resource !== 'services')).toEqual([]);
  expect(east.writes.length).toBe(before[0]);
  const kinds = parseAllDocuments(outcome.stdout).map((document) => (document.toJS() as KubeObject).kind);
  expect(kinds).toEqual(expect.arrayContaining(['CustomResourceDefinition', 'Namespace', 'DaemonSet', 'Submariner']));
  expect(kinds).not.toContain('Secret');
  // In this order kubectl apply finds what each object needs.
  expect(kinds[0]).toBe('Namespace');
  expect(kinds.at(-1)).toBe('DaemonSet');

  good(await harness.run('join', 'broker-info.subm', ...WEST, '--gateways', '1'));
  const applied = new Set(west.writes.filter(({ verb }) => verb === 'apply').map(({ name }) => name));
  const printed = parseAllDocuments(outcome.stdout).map((document) => (document.toJS() as KubeObject).metadata.name);
  expect(new Set([...printed, 'submariner-broker-secret', 'submariner-ipsec-psk'])).toEqual(applied);
});

test('a dry run that includes everything prints what join applies and labels, and claims the ID only', async () => {
  const { harness, east, west } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const args = ['join', 'broker-info.subm', ...WEST, '--gateways', '1'];
  const writes = (): readonly string[] =>
    west.writes.filter(({ resource }) => resource !== 'services').map(({ verb, name }) => `${verb} ${name}`);
  const dry = good(await harness.run(...args, '--dry-run', '--include', 'nodes,secrets'));
  expect(writes()).toEqual([]);
  expect(east.all(RESOURCES.serviceAccounts).map(({ metadata }) => metadata.name)).toContain('cluster-west');
  expect(dry.stderr).toContain('the ID is claimed on the broker, nothing else was changed');
  expect(dry.stderr).not.toContain('left out');
  const printed = parseAllDocuments(dry.stdout).map((document) => document.toJS() as KubeObject);
  expect(printed).toContainEqual({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'west-1', labels: { 'submariner.io/gateway': 'true' } },
  });
  // Each issues a credential that is in no cluster yet.
  const masked = (text: string): string => text.replaceAll(/^ +token: .{100,}$/gm, 'token: masked');
  const again = good(await harness.run(...args, '--dry-run', '--include', 'all')).stdout;
  expect(again).not.toBe(dry.stdout);
  expect(masked(again)).toBe(masked(dry.stdout));

  good(await harness.run(...args));
  for (const secret of printed.filter(({ kind }) => kind === 'Secret') as readonly Secret[]) {
    const made = west
      .all<Secret>(RESOURCES.secrets, NAMESPACE)
      .find((one) => one.metadata.name === secret.metadata.name);
    const token = secret.data?.['token'] === undefined ? {} : { token: expect.stringMatching(/.{100}/) };
    expect(made?.data).toEqual({ ...secret.data, ...token });
  }
  const applied = new Set(west.writes.filter(({ verb }) => verb === 'apply').map(({ name }) => name));
  expect(new Set(printed.map(({ metadata }) => metadata.name))).toEqual(new Set([...applied, 'west-1']));
});

test('--include is refused when it is unknown or nothing is printed', async () => {
  const { harness } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const unknown = await harness.run('join', 'broker-info.subm', ...WEST, '--dry-run', '--include', 'secrets,psk');
  expect(unknown).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('psk is unknown; choose of secrets') });
  const real = await harness.run('join', 'broker-info.subm', ...WEST, '--include', 'all');
  expect(real).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('only --dry-run prints anything') });
});

test('of two clusters that join under one ID at the same moment exactly one wins', async () => {
  const { harness, east } = twoClusters();
  east.seed(RESOURCES.nodes, node('east-2'));
  good(await harness.run('deploy-broker', '--context', 'east'));
  const same = ['--clusterid', 'same', '--gateways', '1'];
  const outcomes = await Promise.all([
    harness.run('join', 'broker-info.subm', ...EAST, ...same),
    harness.run('join', 'broker-info.subm', ...WEST, ...same),
  ]);
  expect(outcomes.map(({ exitCode }) => exitCode).toSorted((a, b) => a - b)).toEqual([0, 1]);
  const [loser] = outcomes.filter(({ exitCode }) => exitCode === 1);
  expect(loser!.stderr).toContain('cluster ID same is taken by');
});

test('of two clusters with overlapping CIDRs that join at the same moment never both win', async () => {
  const { harness } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const overlapping = ['--clustercidr', '10.130.4.0/24', '--servicecidr', '100.67.0.0/16', '--gateways', '1'];
  const outcomes = await Promise.all([
    harness.run('join', 'broker-info.subm', ...EAST),
    harness.run('join', 'broker-info.subm', '--context', 'west', ...overlapping),
  ]);
  const losers = outcomes.filter(({ exitCode }) => exitCode !== 0);
  expect(losers.length).toBeGreaterThan(0);
  for (const { stderr } of losers) expect(stderr).toMatch(/10\.130\.\S+ overlaps 10\.130\.\S+ of cluster/);
});

test('interrupted at any write, join completes when it is run again', async () => {
  const args = ['join', 'broker-info.subm', ...WEST, '--gateways', '1'];
  const counted = twoClusters();
  good(await counted.harness.run('deploy-broker', '--context', 'east'));
  const isWrite = ({ verb, resource }: FakeCall): boolean => {
    const byControllers = verb === 'patch' && ['daemonsets', 'customresourcedefinitions'].includes(resource);
    return (
      ['create', 'apply', 'patch', 'replace', 'delete'].includes(verb) && !byControllers && resource !== 'services'
    );
  };
  const count = (): number => [...counted.east.calls, ...counted.west.calls].filter(isWrite).length;
  const before = count();
  good(await counted.harness.run(...args));
  const writes = count() - before;
  expect(writes).toBeGreaterThan(20);

  for (let failAt = 1; failAt <= writes; failAt += 1) {
    const { harness, east, west } = twoClusters();
    good(await harness.run('deploy-broker', '--context', 'east'));
    let left = failAt;
    for (const kube of [east, west]) {
      const plain = kube.onCall!;
      kube.onCall = (call) => {
        if (isWrite(call)) left -= 1;
        if (isWrite(call) && left === 0) {
          return new KubeConnectionError({ code: 'ECONNRESET' }, { server: kube.server, method: 'X', path: '/' });
        }
        return plain(call);
      };
    }
    const interrupted = await harness.run(...args);
    expect(interrupted.exitCode).toBe(1);
    left = Number.POSITIVE_INFINITY;
    good(await harness.run(...args));
    expect(west.all(RESOURCES.daemonSets, NAMESPACE)).toHaveLength(2);
    expect(west.all(RESOURCES.secrets, NAMESPACE)).toHaveLength(2);
  }
}, 60_000);

test('on a terminal the gateway is asked for, with --yes the first one is taken', async () => {
  const asked: string[] = [];
  const prompter = {
    choose: async (question: string, choices: readonly string[]) => {
      asked.push(`${question} ${choices.join(' ')}`);
      return ['west-2'];
    },
  };
  const { harness, west } = twoClusters({ interactive: true, prompter });
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run('join', 'broker-info.subm', ...WEST));
  expect(asked).toEqual(['Which nodes shall be gateways? west-1 west-2']);
  expect(west.all(RESOURCES.nodes)[1]!.metadata.labels).toEqual({ 'submariner.io/gateway': 'true' });

  const quiet = twoClusters({ interactive: true });
  good(await quiet.harness.run('deploy-broker', '--context', 'east'));
  good(await quiet.harness.run('join', 'broker-info.subm', ...WEST, '--yes'));
  expect(quiet.west.all(RESOURCES.nodes)[0]!.metadata.labels).toEqual({ 'submariner.io/gateway': 'true' });
});

test('a gateway that does not come up makes join fail with what it reports', async () => {
  const { harness, west } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  const plain = west.onCall!;
  west.onCall = (call) => (call.resource === 'gateways' ? undefined : plain(call));
  const spec = { cluster_id: 'west', cable_name: 'c', hostname: 'west-1', subnets: [], private_ip: '', public_ip: '' };
  const status = {
    version: '1',
    haStatus: 'passive',
    statusFailure: 'charon not found',
    localEndpoint: { ...spec, nat_enabled: false, backend: 'libreswan' },
    connections: [],
  };
  west.seed(RESOURCES.gateways, { metadata: { name: 'west-1', namespace: NAMESPACE }, status } as KubeObject);
  const outcome = await harness.run('join', 'broker-info.subm', ...WEST, '--gateways', '1', '--timeout', '20s');
  expect(outcome.exitCode).toBe(1);
  expect(outcome.stderr).toContain('gave up after 20s waiting for an active gateway: west-1: charon not found');
});

test('-v names every request and shows no secret', async () => {
  const { harness } = twoClusters();
  const { stderr } = good(await harness.run('deploy-broker', '--context', 'east', '-v'));
  expect(stderr).toContain('apply namespaces submariner-k8s-broker at https://east:6443');
  expect(stderr).toContain(
    'create secrets submariner-k8s-broker-admin-token- in submariner-k8s-broker at https://east:6443',
  );
  const { stderr: more } = good(await harness.run('join', 'broker-info.subm', ...EAST, '-v'));
  const psk = pskOf(parseBrokerInfo(harness.file('broker-info.subm')).info!)!;
  expect(more).toContain('apply secrets submariner-ipsec-psk');
  expect(more).not.toContain(psk.toString('base64'));
  expect(more).not.toContain('token-of');
});

test('recover-broker-info writes a file with which another cluster joins', async () => {
  const { harness } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run('join', 'broker-info.subm', ...EAST));
  const lost = parseBrokerInfo(harness.file('broker-info.subm')).info!;
  const { rmSync } = await import('node:fs');
  rmSync(path.join(harness.directory, 'broker-info.subm'));

  good(await harness.run('recover-broker-info', '--context', 'east'));
  const found = parseBrokerInfo(harness.file('broker-info.subm')).info!;
  expect(pskOf(found)).toEqual(pskOf(lost));
  expect(found.brokerUrl).toBe(lost.brokerUrl);
  expect(found.clientToken.data).toEqual(lost.clientToken.data);
  good(await harness.run('join', 'broker-info.subm', ...WEST, '--gateways', '1'));

  const elsewhere = await harness.run('recover-broker-info', '--context', 'west');
  expect(elsewhere.stderr).toContain('--broker-context');
  good(await harness.run('recover-broker-info', '--context', 'west', '--broker-context', 'east'));
});

test('deploy-broker keeps an earlier file under a name with its time', async () => {
  const { harness } = twoClusters();
  good(await harness.run('deploy-broker', '--context', 'west'));
  const earlier = harness.file('broker-info.subm');
  good(await harness.run('deploy-broker', '--context', 'east'));
  expect(harness.file('broker-info.subm.2030-01-01T00_00_00Z')).toBe(earlier);
  const keys = [earlier, harness.file('broker-info.subm')].map((text) => pskOf(parseBrokerInfo(text).info!));
  expect(keys[0]).not.toEqual(keys[1]);
});

test('deploy-broker writes the allocation maps when asked, and keeps what is allocated', async () => {
  const { harness, east } = twoClusters();
  const args = ['deploy-broker', '--context', 'east', '--globalnet', '--globalnet-cluster-size', '1000'];
  good(await harness.run(...args));
  const map = (): Readonly<Record<string, string>> =>
    (east.all(RESOURCES.configMaps)[0] as unknown as { readonly data: Readonly<Record<string, string>> }).data;
  expect(map()).toEqual({
    globalnetEnabled: 'true',
    globalnetCidrRange: '"242.0.0.0/8"',
    globalnetClusterSize: '1024',
    clusterinfo: '[]',
  });
  expect(await harness.run(...args, '--globalnet-cidr-range', '242.0.0.0/23')).toMatchObject({ exitCode: 2 });
});
