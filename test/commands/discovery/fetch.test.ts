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
