import { expect, test } from '@jest/globals';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError, KubeConnectionError } from '../../src/kube/errors.ts';
import type { Node, Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { type FakeCall, FakeKube } from '../fakes/kube.ts';
import { endpointSpec, Harness, type HarnessOptions, node, type RunOutcome, withControllers } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const BROKER = 'submariner-k8s-broker';
const TYPES = Object.values(RESOURCES);

interface Set {
  readonly harness: Harness;
  readonly east: FakeKube;
  readonly west: FakeKube;
}

function good(outcome: RunOutcome): RunOutcome {
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return outcome;
}

/** Plays what removing needs: namespaces take their content along, pods that clean succeed on nodes that live. */
function withRemoval(kube: FakeKube, outcome: (node: string) => object = succeeded): FakeKube {
  const [plainCall, plainRequest] = [kube.onCall, kube.onRequest];
  kube.onCall = (call) => {
    if (call.verb === 'delete' && call.resource === 'namespaces') emptyNamespace(kube, call.name ?? '');
    if (call.verb === 'list' && call.resource === 'pods') runCleaners(kube, outcome);
    return plainCall?.(call);
  };
  kube.onRequest = (method, path, body) => {
    const pod = /\/pods\/(?<name>[^/]+)$/.exec(path)?.groups?.['name'];
    if (method === 'DELETE' && pod !== undefined) {
      kube.drop(RESOURCES.pods, pod, NAMESPACE);
      return {};
    }
    return plainRequest(method, path, body);
  };
  return kube;
}

const succeeded = (): object => ({ phase: 'Succeeded' });

function emptyNamespace(kube: FakeKube, namespace: string): void {
  for (const type of TYPES.filter(({ namespaced }) => namespaced)) {
    for (const { metadata } of kube.all(type, namespace)) kube.drop(type, metadata.name ?? '', namespace);
  }
}

function runCleaners(kube: FakeKube, outcome: (node: string) => object): void {
  for (const pod of kube.all<Pod>(RESOURCES.pods, NAMESPACE)) {
    const status = pod.status === undefined ? outcome(pod.spec.nodeName ?? '') : undefined;
    if (status === undefined) continue;
    const options = { namespace: NAMESPACE, patchType: 'merge', subresource: 'status' } as const;
    void kube.patch(RESOURCES.pods, pod.metadata.name ?? '', { status }, options);
  }
}

async function joinedSet(options: HarnessOptions = {}, outcome = succeeded as (node: string) => object): Promise<Set> {
  const east = withRemoval(withControllers(new FakeKube([], 'https://east:6443'), 'uid-east'));
  const west = withRemoval(withControllers(new FakeKube([], 'https://west:6443'), 'uid-west'), outcome);
  east.seed(RESOURCES.nodes, node('east-1'));
  west.seed(RESOURCES.nodes, node('west-1'));
  west.seed(RESOURCES.nodes, node('west-2'));
  const harness = new Harness({ east, west }, options);
  const cidrs = (n: number): readonly string[] =>
    `--clustercidr 10.13${n}.0.0/16 --servicecidr 100.6${n}.0.0/16`.split(' ');
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run('join', 'broker-info.subm', '--context', 'east', ...cidrs(0)));
  good(await harness.run('join', 'broker-info.subm', '--context', 'west', '--gateways', '1', ...cidrs(1)));
  // What the engine of west would have published.
  const labels = { 'submariner-io/clusterID': 'west' };
  const at = (name: string): KubeObject['metadata'] => ({ name, namespace: BROKER, labels });
  const spec = { cluster_id: 'west', cluster_cidr: [], service_cidr: [], global_cidr: [] };
  east.seed(RESOURCES.clusters, { metadata: at('west'), spec } as KubeObject);
  east.seed(RESOURCES.endpoints, { metadata: at('west-cable'), spec: endpointSpec('west', '10.0.0.2') } as KubeObject);
  return { harness, east, west };
}

/** Names of everything in an API server that is of ours, `kind namespace/name`. */
function ours(kube: FakeKube): readonly string[] {
  return TYPES.flatMap((type) =>
    kube
      .all(type)
      .filter(({ metadata }) => /submariner|cluster-/.test(`${metadata.namespace} ${metadata.name}`))
      .map(({ metadata }) => `${type.kind} ${metadata.namespace ?? ''}/${metadata.name}`),
  );
}

const changes = (kube: FakeKube): readonly FakeCall[] =>
  kube.calls.filter(
    ({ verb, resource }) =>
      ['create', 'apply', 'replace', 'delete'].includes(verb) || (verb === 'patch' && resource === 'nodes'),
  );

test('nothing is left in the cluster, and nothing of it on the broker', async () => {
  const { harness, east, west } = await joinedSet();
  const outcome = good(await harness.run('uninstall', '--context', 'west', '--yes', '-o', 'json'));
  expect(ours(west)).toEqual([]);
  const labelled = west
    .all<Node>(RESOURCES.nodes)
    .filter(({ metadata }) => Object.keys(metadata.labels ?? {}).length > 0);
  expect(labelled).toEqual([]);
  expect(ours(east).filter((name) => name.includes('west') && !name.startsWith('Role'))).toEqual([]);
  expect(JSON.parse(outcome.stdout)).toMatchObject({
    clusterId: 'west',
    context: 'west',
    broker: { server: 'https://east:6443', namespace: BROKER, outcome: 'left', reason: '' },
    nodes: [
      { node: 'west-1', outcome: 'cleaned', reason: '' },
      { node: 'west-2', outcome: 'cleaned', reason: '' },
    ],
  });
  const again = good(await harness.run('uninstall', '--context', 'west', '--yes'));
  expect(again.stderr).toContain('Nothing of subctl is in cluster west');
});

test('daemons end before nodes are cleaned, and the namespace goes last', async () => {
  const { harness, west } = await joinedSet();
  const before = west.calls.length;
  good(await harness.run('uninstall', '--context', 'west', '--yes'));
  const calls = west.calls.slice(before);
  const at = (verb: FakeCall['verb'], resource: string): number =>
    calls.findIndex((call) => call.verb === verb && call.resource === resource);
  expect(at('delete', 'daemonsets')).toBeGreaterThan(0);
  expect(at('create', 'pods')).toBeGreaterThan(at('delete', 'daemonsets'));
  expect(at('delete', 'namespaces')).toBeGreaterThan(at('create', 'pods'));
  expect(at('delete', 'customresourcedefinitions')).toBeGreaterThan(at('delete', 'namespaces'));
  const cleaners = calls.filter(({ verb, resource }) => verb === 'create' && resource === 'pods');
  expect(cleaners).toHaveLength(2);
});

test('nothing happens before somebody agreed, and a dry run says what would', async () => {
  const answers: string[] = [];
  const prompter = {
    confirm: async (question: string): Promise<boolean> => {
      answers.push(question);
      return false;
    },
  };
  const { harness, east, west } = await joinedSet({ interactive: true, prompter });
  const before = [changes(east).length, changes(west).length];
  const refused = await harness.run('uninstall', '--context', 'west');
  expect(refused).toMatchObject({ exitCode: 1 });
  expect(answers).toEqual(['Remove all this?']);
  const dry = good(await harness.run('uninstall', '--context', 'west', '--dry-run'));
  for (const line of [
    'on the broker https://east:6443',
    'on 2 nodes: tunnels',
    'namespace submariner-operator with everything in it',
    'ClusterRole submariner-gateway',
    'label submariner.io/gateway of node west-1',
  ]) {
    expect(dry.stderr).toContain(line);
  }
  expect([changes(east).length, changes(west).length]).toEqual(before);
});

test('without a terminal it takes --yes', async () => {
  const { harness, west } = await joinedSet();
  const before = changes(west).length;
  const refused = await harness.run('uninstall', '--context', 'west');
  expect(refused.stderr).toContain('nobody agreed to uninstall cluster west');
  expect(changes(west).length).toBe(before);
});

test('the broker stays while another cluster is joined, goes with the last one, and with --force', async () => {
  const { harness, east } = await joinedSet();
  const first = good(await harness.run('uninstall', '--context', 'east', '--yes'));
  expect(first.stderr).toContain('kept: the broker in namespace submariner-k8s-broker, west is still joined; --force');
  expect(east.all(RESOURCES.brokers)).toHaveLength(1);
  expect(east.all(RESOURCES.crds).map(({ metadata }) => metadata.name)).toContain('brokers.submariner.io');
  good(await harness.run('uninstall', '--context', 'west', '--yes'));
  good(await harness.run('uninstall', '--context', 'east', '--yes', '--keep-broker'));
  expect(east.all(RESOURCES.brokers)).toHaveLength(1);
  good(await harness.run('uninstall', '--context', 'east', '--yes'));
  expect(ours(east)).toEqual([]);

  const other = await joinedSet();
  const forced = good(await other.harness.run('uninstall', '--context', 'east', '--yes', '--force'));
  expect(forced.stderr).toContain(
    'the broker: namespace submariner-k8s-broker with everything in it, although west will lose it',
  );
  expect(ours(other.east)).toEqual([]);
});

test('a broker that is away is named with how to finish; the cluster is cleaned nevertheless', async () => {
  const { harness, east, west } = await joinedSet();
  const plain = east.onCall!;
  east.onCall = () =>
    new KubeConnectionError({ code: 'ECONNREFUSED' }, { server: east.server, method: 'GET', path: '/' });
  const outcome = await harness.run('uninstall', '--context', 'west', '--yes');
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stderr).toContain('the broker https://east:6443 still knows the cluster: cannot reach');
  expect(outcome.stderr).toContain('subctl uninstall --context west --broker-info broker-info.subm');
  expect(outcome.stderr).toContain('delete serviceaccount/cluster-west clusters.submariner.io/west');
  expect(ours(west)).toEqual([]);

  east.onCall = plain;
  good(await harness.run('uninstall', '--context', 'west', '--yes', '--broker-info', 'broker-info.subm'));
  expect(ours(east).filter((name) => name.includes('west'))).toEqual([]);
  expect(ours(east).filter((name) => name.includes('cluster-east'))).not.toEqual([]);
});

test('a claim that a member may not give up is named', async () => {
  const { harness, east } = await joinedSet();
  const plain = east.onCall!;
  const forbidden = new KubeApiError(
    403,
    { reason: 'Forbidden' },
    { server: east.server, method: 'DELETE', path: '/' },
  );
  east.onCall = (call) =>
    (call.verb === 'delete' && !['endpoints', 'clusters'].includes(call.resource)) || call.resource === 'secrets'
      ? forbidden
      : plain(call);
  const outcome = await harness.run('uninstall', '--context', 'west', '--yes');
  expect(outcome).toMatchObject({ exitCode: 1 });
  expect(outcome.stderr).toContain('the credentials of a member may not give up the claim of its ID');
  expect(east.all(RESOURCES.endpoints, BROKER)).toEqual([]);
  east.onCall = plain;
  good(await harness.run('uninstall', '--context', 'west', '--yes', '--broker-context', 'east'));
  expect(ours(east).filter((name) => name.includes('west'))).toEqual([]);
});

test('an ID that another cluster has claimed since is left alone', async () => {
  const { harness, east } = await joinedSet();
  const account = east.all(RESOURCES.serviceAccounts, BROKER).find(({ metadata }) => metadata.name === 'cluster-west')!;
  east.drop(RESOURCES.serviceAccounts, 'cluster-west', BROKER);
  const annotations = { ...account.metadata.annotations, 'subctl.submariner.io/claimed-by': 'uid-other' };
  east.seed(RESOURCES.serviceAccounts, { ...account, metadata: { ...account.metadata, annotations } });
  good(await harness.run('uninstall', '--context', 'west', '--yes', '--broker-context', 'east'));
  expect(east.all(RESOURCES.clusters, BROKER)).toHaveLength(1);
  expect(east.all(RESOURCES.serviceAccounts, BROKER).map(({ metadata }) => metadata.name)).toContain('cluster-west');
});

test('nodes that are away, and nodes where it fails, are named; they are cleaned later', async () => {
  const state = { terminated: { exitCode: 1 } };
  const failed = { phase: 'Running', containerStatuses: [{ name: 'gateway', ready: false, restartCount: 3, state }] };
  const { harness, west } = await joinedSet({}, (name) => (name === 'west-3' ? failed : succeeded()));
  const unready = { conditions: [{ type: 'Ready', status: 'Unknown' }] };
  await west.patch(RESOURCES.nodes, 'west-2', { status: unready }, { patchType: 'merge', subresource: 'status' });
  west.seed(RESOURCES.nodes, node('west-3'));
  west.onLogs = () => 'error busy\n';
  const outcome = await harness.run('uninstall', '--context', 'west', '--yes', '--timeout', '30s', '-o', 'json');
  expect(outcome).toMatchObject({ exitCode: 1 });
  const { nodes } = JSON.parse(outcome.stdout) as { readonly nodes: unknown };
  expect(nodes).toEqual([
    { node: 'west-1', outcome: 'cleaned', reason: '' },
    { node: 'west-2', outcome: 'unreachable', reason: 'the node is not ready' },
    { node: 'west-3', outcome: 'failed', reason: 'gateway ended with exit code 1 (restarts: 3) on west-3: error busy' },
  ]);
  expect(outcome.stderr).toContain('subctl uninstall --context west --nodes west-2,west-3');
  expect(ours(west)).toEqual([]);

  await west.patch(
    RESOURCES.nodes,
    'west-2',
    { status: { conditions: [{ type: 'Ready', status: 'True' }] } },
    { patchType: 'merge', subresource: 'status' },
  );
  const later = good(await harness.run('uninstall', '--context', 'west', '--nodes', 'west-2'));
  expect(later.stderr).toContain('Clean: west-2');
  expect(ours(west)).toEqual([]);
});

/** Leaves what `helm uninstall` leaves: CRDs and labels. */
function strip(kube: FakeKube): void {
  for (const type of TYPES) {
    for (const { metadata } of kube.all(type)) {
      const isChart = `${metadata.namespace} ${metadata.name}`.includes('submariner') && type !== RESOURCES.crds;
      if (isChart) kube.drop(type, metadata.name ?? '', metadata.namespace);
    }
  }
}

test('the right to make a namespace is asked for first, where cleaning needs one', async () => {
  const { harness, west } = await joinedSet();
  const { onRequest } = west;
  const asked: string[] = [];
  west.onRequest = (method, path, body) => {
    if (!path.endsWith('selfsubjectaccessreviews')) return onRequest(method, path, body);
    const { spec } = body as { spec: { resourceAttributes: { verb: string; resource: string } } };
    const right = `${spec.resourceAttributes.verb} ${spec.resourceAttributes.resource}`;
    asked.push(right);
    return { status: { allowed: right !== 'patch namespaces' } };
  };
  good(await harness.run('uninstall', '--context', 'west', '--dry-run'));
  strip(west);
  const before = changes(west).length;
  for (const words of [['--yes'], ['--nodes', 'west-1']]) {
    const refused = await harness.run('uninstall', '--context', 'west', ...words);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('west: patch namespaces') });
  }
  expect(changes(west).length).toBe(before);
  expect(asked).toContain('create namespaces');
  good(await harness.run('uninstall', '--context', 'west', '--dry-run'));
});

test('where the namespace is gone already, nodes are cleaned all the same, and the broker is not forgotten', async () => {
  const { harness, east, west } = await joinedSet();
  strip(west);
  const shown = good(await harness.run('uninstall', '--context', 'west', '--dry-run'));
  expect(shown.stderr).toContain('on 2 nodes: tunnels');
  const outcome = good(await harness.run('uninstall', '--context', 'west', '--yes', '-o', 'json'));
  expect(JSON.parse(outcome.stdout)).toMatchObject({
    nodes: ['west-1', 'west-2'].map((name) => ({ node: name, outcome: 'cleaned' })),
  });
  expect(outcome.stderr).toContain('subctl uninstall --context west --broker-info broker-info.subm');
  expect(ours(west)).toEqual([]);
  expect(ours(east)).toContain(`Cluster ${BROKER}/west`);
  good(await harness.run('uninstall', '--context', 'west', '--broker-info', 'broker-info.subm', '--yes'));
  expect(ours(east).filter((name) => name.includes('west') && !name.startsWith('Role'))).toEqual([]);
});

test('a CRD that something holds is waited for, and named when it does not go', async () => {
  const { harness, west } = await joinedSet();
  const name = 'gateways.submariner.io';
  const hold = (finalizers: readonly string[]): Promise<unknown> =>
    west.patch(RESOURCES.crds, name, { metadata: { finalizers } }, { patchType: 'merge' });
  await hold(['example.com/holds']);
  const outcome = await harness.run('uninstall', '--context', 'west', '--yes', '--timeout', '30s');
  expect(outcome).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`Waiting for CRDs ${name} to go`) });
  expect(outcome.stderr).toContain('kubectl get crd NAME -o yaml');
  await hold([]);
  good(await harness.run('uninstall', '--context', 'west', '--yes'));
  expect(ours(west)).toEqual([]);
});

test('where only a broker was deployed no node is touched', async () => {
  const east = withRemoval(withControllers(new FakeKube([], 'https://east:6443'), 'uid-east'));
  east.seed(RESOURCES.nodes, node('east-1'));
  const harness = new Harness({ east });
  good(await harness.run('deploy-broker', '--context', 'east'));
  good(await harness.run('uninstall', '--context', 'east', '--yes'));
  expect(east.calls.filter(({ verb, resource }) => verb === 'create' && resource === 'pods')).toEqual([]);
  expect(ours(east)).toEqual([]);
});

test('cleaning single nodes of a joined cluster, or unknown ones, is refused', async () => {
  const { harness, west } = await joinedSet();
  const before = changes(west).length;
  const joined = await harness.run('uninstall', '--context', 'west', '--nodes', 'west-1');
  expect(joined.stderr).toContain('cluster west is joined: cleaning a node would cut it off');
  const unknown = await harness.run('uninstall', '--context', 'west', '--nodes', 'west-9');
  expect(unknown.stderr).toContain('the cluster has no node west-9');
  expect(changes(west).length).toBe(before);
});

test('interrupted at any write, it goes on when it is run again', async () => {
  const counted = await joinedSet();
  const isWrite = ({ verb, resource }: FakeCall): boolean =>
    verb === 'delete' || (verb === 'create' && resource === 'pods') || (verb === 'patch' && resource === 'nodes');
  const count = (): number => [...counted.east.calls, ...counted.west.calls].filter(isWrite).length;
  const before = count();
  good(await counted.harness.run('uninstall', '--context', 'west', '--yes'));
  const writes = count() - before;
  expect(writes).toBeGreaterThan(12);

  for (let failAt = 1; failAt <= writes; failAt += 1) {
    const { harness, east, west } = await joinedSet();
    let left = failAt;
    for (const kube of [east, west]) {
      const plain = kube.onCall!;
      kube.onCall = (call) => {
        if (isWrite(call)) left -= 1;
        return isWrite(call) && left === 0 ? new Error('interrupted') : plain(call);
      };
    }
    expect(await harness.run('uninstall', '--context', 'west', '--yes')).toMatchObject({ exitCode: 70 });
    left = Number.POSITIVE_INFINITY;
    good(await harness.run('uninstall', '--context', 'west', '--yes'));
    expect(ours(west)).toEqual([]);
    expect(ours(east).filter((name) => name.includes('cluster-west') && !name.startsWith('Role'))).toEqual([]);
  }
}, 60_000);
