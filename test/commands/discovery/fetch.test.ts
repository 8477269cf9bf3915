import { expect, test } from '@jest/globals';
import { fetchClusterObjects } from '../../../src/commands/discovery/fetch.ts';
import { discoverNetwork } from '../../../src/commands/discovery/index.ts';
import { KubeApiError } from '../../../src/kube/errors.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';

function clusterWithKubeadm(): FakeKube {
  const configMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'kube-system', name: 'kubeadm-config' },
    data: { ClusterConfiguration: 'networking:\n  podSubnet: 10.130.0.0/16\n  serviceSubnet: 100.66.0.0/16\n' },
  };
  return new FakeKube([{ type: RESOURCES.configMaps, object: configMap }]);
}

test('finds the networks of a kubeadm cluster and leaves nothing behind', async () => {
  const kube = clusterWithKubeadm();
  const found = await discoverNetwork(kube);
  expect(found.podCidrs).toEqual([{ cidr: '10.130.0.0/16', source: 'ConfigMap kube-system/kubeadm-config' }]);
  expect(found.serviceCidrs).toEqual([{ cidr: '100.66.0.0/16', source: 'ConfigMap kube-system/kubeadm-config' }]);
  expect(kube.writes.map(({ verb, resource }) => `${verb} ${resource}`)).toEqual(['create services']);
  expect(kube.all(RESOURCES.services)).toEqual([]);
});

test('an old server is asked in earnest, because its dry runs say nothing', async () => {
  const said =
    'Service "x" is invalid: spec.clusterIPs: provided IP is not in the valid range. The range of valid IPs is 10.5.0.0/16';
  const refused = new KubeApiError(
    422,
    { reason: 'Invalid', message: said },
    { server: 'https://fake', method: 'POST', path: '/' },
  );
  for (const [version, cidrs] of [
    ['v1.20.2', ['10.5.0.0/16']],
    ['v1.22.0', []],
  ] as const) {
    const kube = new FakeKube();
    const tried: unknown[] = [];
    const create = kube.create.bind(kube);
    kube.create = async (type, object, options) => {
      tried.push(options?.dryRun);
      if (options?.dryRun !== true) throw refused;
      return create(type, object, options);
    };
    kube.request = async () => ({ gitVersion: version }) as never;
    const { serviceCidrs } = await discoverNetwork(kube);
    expect(serviceCidrs.map(({ cidr }) => cidr)).toEqual(cidrs);
    expect(tried).toEqual(version === 'v1.22.0' ? [true] : [true, undefined]);
  }
});

test('a missing right is a named problem, not a failure', async () => {
  const kube = clusterWithKubeadm();
  kube.onCall = ({ verb, resource, namespace }) =>
    verb === 'list' && resource === 'pods' && namespace === 'kube-system'
      ? new KubeApiError(
          403,
          { reason: 'Forbidden', message: 'no' },
          { server: 'https://fake', method: 'GET', path: '/' },
        )
      : undefined;
  const objects = await fetchClusterObjects(kube);
  expect(objects.problems).toEqual(['not allowed to list pods in kube-system']);
  expect(objects.configMaps).toHaveLength(1);
});

test('an API server that is away is an error', async () => {
  const kube = clusterWithKubeadm();
  kube.down = true;
  await expect(fetchClusterObjects(kube)).rejects.toThrow(/cannot reach the API server/);
});
