import { expect, test } from '@jest/globals';
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
