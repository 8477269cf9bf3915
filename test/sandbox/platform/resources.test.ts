import { expect, test } from '@jest/globals';
import { KubeApiError } from '../../../src/kube/errors.ts';
import { discoverResources } from '../../../src/sandbox/platform/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';

test('kinds served in one version only are found, those in several once', async () => {
  const kube = new FakeKube();
  const resource = (name: string, kind: string): object => ({
    name,
    kind,
    namespaced: true,
    verbs: ['list', 'delete'],
  });
  const answers: Readonly<Record<string, object>> = {
    '/apis': {
      groups: [
        {
          name: 'x.io',
          preferredVersion: { groupVersion: 'x.io/v1' },
          versions: [{ groupVersion: 'x.io/v1' }, { groupVersion: 'x.io/v1alpha1' }],
        },
      ],
    },
    '/api/v1': { groupVersion: 'v1', resources: [resource('pods', 'Pod'), resource('pods/log', 'Pod')] },
    '/apis/x.io/v1': { groupVersion: 'x.io/v1', resources: [resource('things', 'Thing')] },
    '/apis/x.io/v1alpha1': {
      groupVersion: 'x.io/v1alpha1',
      resources: [resource('things', 'Thing'), resource('ideas', 'Idea')],
    },
  };
  kube.onRequest = (_method, path) => answers[path];
  const found = await discoverResources(kube, new AbortController().signal);
  expect(found.map(({ group, version, plural }) => `${group}/${version}/${plural}`)).toEqual([
    '/v1/pods',
    'x.io/v1/things',
    'x.io/v1alpha1/ideas',
  ]);
});

test('what cannot be read is an error, a version that is gone is not', async () => {
  const kube = new FakeKube();
  const version = { groupVersion: 'x.io/v1' };
  const groups = { groups: [{ name: 'x.io', preferredVersion: version, versions: [version] }] };
  const core = { groupVersion: 'v1', resources: [] };
  kube.onRequest = (_method, path) => ({ '/apis': groups, '/api/v1': core })[path];
  const { signal } = new AbortController();
  expect(await discoverResources(kube, signal)).toEqual([]);
  kube.onRequest = (method, path) => {
    if (path === '/apis/x.io/v1') throw new KubeApiError(503, {}, { server: '', method, path });
    return { '/apis': groups, '/api/v1': core }[path];
  };
  await expect(discoverResources(kube, signal)).rejects.toThrow(KubeApiError);
});
