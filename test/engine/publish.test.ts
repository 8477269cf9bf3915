import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Cluster, Endpoint } from '../../src/api/types.ts';
import { cleanUpBrokerObjects, cleanUpLocalObjects, cleanUpNode } from '../../src/engine/cleanup.ts';
import type { CableDriver } from '../../src/engine/drivers/driver.ts';
import { localCluster, localEndpoint } from '../../src/engine/localendpoint.ts';
import { labelPod, publishLocal } from '../../src/engine/publish.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeKube } from '../fakes/kube.ts';
import { FakeCluster, NAMESPACE, World, engineConfig } from './world.ts';

const never = new AbortController().signal;
const world = new World();
const config = engineConfig(
  new FakeCluster(world, 'west', '10.131.0.0/16', '100.67.0.0/16'),
  world.addNode('west-1', '172.32.0.11', '10.131.1.1', '/nowhere'),
);

function endpoint(id: string, ip: string, labels: Record<string, string> = {}): Endpoint & KubeObject {
  const spec = {
    cluster_id: id,
    cable_name: `submariner-cable-${id}-${ip.replaceAll('.', '-')}`,
    hostname: `${id}-1`,
    subnets: ['10.131.0.0/16'],
    private_ip: ip,
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
    backend_config: { b: '2', a: '1' },
  };
  const made = localEndpoint(spec, NAMESPACE);
  return { ...made, metadata: { ...made.metadata, labels } };
}

let client: FakeKube;
beforeEach(() => {
  client = new FakeKube();
});

async function publish(own: Endpoint, mayWrite = (): boolean => true): Promise<void> {
  const known = client.all<Endpoint & KubeObject>(RESOURCES.endpoints);
  await publishLocal(
    { client, logger: silentLogger, cluster: localCluster(config), endpoint: own, known, mayWrite },
    never,
  );
}
const names = (): readonly string[] =>
  client.all(RESOURCES.endpoints).map(({ metadata }) => metadata.name!.replace('-submariner-cable', ''));

describe('publishing', () => {
  test('stops where it is when another gateway may lead by then', async () => {
    client.seed(RESOURCES.endpoints, endpoint('west', '172.32.0.12'));
    const reads = (): number => client.calls.filter(({ verb }) => verb === 'get').length;
    await publish(endpoint('west', '172.32.0.11'), () => reads() < 1);
    expect(client.writes.map(({ verb, resource }) => `${verb} ${resource}`)).toEqual(['create endpoints']);
    await publish(endpoint('west', '172.32.0.11'), () => false);
    expect(client.writes).toHaveLength(1);
  });

  test('once; again changes nothing, whatever the order of keys', async () => {
    await publish(endpoint('west', '172.32.0.11'));
    const writes = client.writes.length;
    const own = endpoint('west', '172.32.0.11');
    await publish({ ...own, spec: { ...own.spec, backend_config: { a: '1', b: '2' } } });
    expect(client.writes).toHaveLength(writes);
    const [cluster] = client.all<Cluster & KubeObject>(RESOURCES.clusters);
    expect(cluster).toMatchObject({
      metadata: { name: 'west', namespace: NAMESPACE },
      spec: {
        cluster_id: 'west',
        color_codes: ['blue'],
        service_cidr: ['100.67.0.0/16'],
        cluster_cidr: ['10.131.0.0/16'],
        global_cidr: [],
      },
    });
  });

  test('a changed spec is replaced in place', async () => {
    await publish(endpoint('west', '172.32.0.11'));
    const { uid } = client.all(RESOURCES.endpoints)[0]!.metadata;
    const own = endpoint('west', '172.32.0.11');
    await publish({ ...own, spec: { ...own.spec, backend_config: { c: '3' } } });
    const [stored] = client.all<Endpoint & KubeObject>(RESOURCES.endpoints);
    expect(stored!.spec.backend_config).toEqual({ c: '3' });
    expect(stored!.metadata.uid).toBe(uid);
  });

  test('other Endpoints of this cluster go, after the own one is there; other clusters stay', async () => {
    client.seed(RESOURCES.endpoints, endpoint('west', '172.32.0.99'));
    client.seed(RESOURCES.endpoints, endpoint('east', '172.31.0.11', { 'submariner-io/clusterID': 'east' }));
    client.seed(RESOURCES.endpoints, { metadata: { name: 'junk', namespace: NAMESPACE } });
    await publish(endpoint('west', '172.32.0.11'));
    expect([...names()].sort()).toEqual(['east-east-172-31-0-11', 'junk', 'west-west-172-32-0-11']);
    const verbs = client.writes.filter(({ resource }) => resource === 'endpoints').map(({ verb }) => verb);
    expect(verbs).toEqual(['create', 'delete']);
  });

  test('an Endpoint that was written since it was seen stays: its gateway may have become active again', async () => {
    client.seed(RESOURCES.endpoints, endpoint('west', '172.32.0.12'));
    const [seen] = client.all<Endpoint & KubeObject>(RESOURCES.endpoints);
    const known = [structuredClone(seen!)];
    await client.replace(RESOURCES.endpoints, { ...seen!, spec: { ...seen!.spec, public_ip: '192.0.2.1' } });
    const own = {
      client,
      logger: silentLogger,
      cluster: localCluster(config),
      endpoint: endpoint('west', '172.32.0.11'),
    };
    await publishLocal({ ...own, known, mayWrite: () => true }, never);
    expect([...names()].sort()).toEqual(['west-west-172-32-0-11', 'west-west-172-32-0-12']);
    await publish(own.endpoint);
    expect(names()).toEqual(['west-west-172-32-0-11']);
  });

  test('the pod is labelled; without a pod nothing happens', async () => {
    client.seed(RESOURCES.pods, { metadata: { name: 'p', namespace: NAMESPACE, labels: { app: 'x' } } });
    const pod = { name: 'p', namespace: NAMESPACE, node: 'west-1' };
    await labelPod(client, pod, true, never);
    expect(client.all<Pod>(RESOURCES.pods)[0]!.metadata.labels).toEqual({
      app: 'x',
      'gateway.submariner.io/node': 'west-1',
      'gateway.submariner.io/status': 'active',
    });
    await labelPod(client, pod, false, never);
    expect(client.all<Pod>(RESOURCES.pods)[0]!.metadata.labels).toMatchObject({
      'gateway.submariner.io/status': 'passive',
    });
    await labelPod(client, { ...pod, name: 'none' }, true, never);
  });
});

describe('cleaning up', () => {
  test('locally everything goes, on the broker only what is ours by label and content', async () => {
    for (const [id, ip] of [
      ['west', '172.32.0.11'],
      ['east', '172.31.0.11'],
    ] as const)
      client.seed(RESOURCES.endpoints, endpoint(id, ip, { 'submariner-io/clusterID': id }));
    client.seed(RESOURCES.endpoints, endpoint('west', '172.32.0.50', { 'submariner-io/clusterID': 'east' }));
    client.seed(RESOURCES.gateways, { metadata: { name: 'west-1', namespace: NAMESPACE } });
    client.seed(RESOURCES.clusters, localCluster(config));
    await cleanUpBrokerObjects(client, { namespace: NAMESPACE, clusterId: 'west' });
    expect([...names()].sort()).toEqual(['east-east-172-31-0-11', 'west-west-172-32-0-50']);
    await cleanUpLocalObjects(client, { namespace: NAMESPACE, nodeName: 'west-1' });
    for (const type of [RESOURCES.endpoints, RESOURCES.clusters, RESOURCES.gateways])
      expect(client.all(type)).toEqual([]);
  });

  test('every driver is asked, and all failures are named', async () => {
    const asked: string[] = [];
    const driver = (name: string, failure?: string): CableDriver => ({
      ...world.driver([...world.nodes.values()][0]!),
      name,
      cleanup: async () => {
        asked.push(name);
        if (failure !== undefined) throw new Error(failure);
      },
    });
    const drivers = [driver('libreswan', 'charon hangs'), driver('wireguard'), driver('vxlan', 'no ip')];
    await expect(cleanUpNode(drivers, silentLogger)).rejects.toThrow(
      'not everything could be removed: libreswan: charon hangs; vxlan: no ip',
    );
    expect(asked).toEqual(['libreswan', 'wireguard', 'vxlan']);
    await cleanUpNode([driver('vxlan')], silentLogger);
  });
});
