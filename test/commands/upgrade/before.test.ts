import { expect, test } from '@jest/globals';
import { asBefore } from '../../../src/commands/upgrade/before.ts';
import type { KubeObject } from '../../../src/kube/client.ts';

const named = (value: string, more: object = {}): object => ({ name: 'c', image: value, ...more });

test('former fields of ours and those that are about to be taken over, with what is there now', () => {
  const fieldsV1 = {
    'f:metadata': { 'f:labels': { 'f:old': {} } },
    'f:spec': { 'f:list': { 'k:{"name":"c"}': { '.': {}, 'f:name': {}, 'f:gone': {} } } },
  };
  const live = {
    metadata: {
      name: 'x',
      uid: 'u',
      labels: { old: '1', theirs: '2' },
      managedFields: [{ manager: 'subctl', operation: 'Apply', fieldsV1 }],
    },
    spec: {
      list: [named('edited', { gone: 1, pull: 'default' }), { name: 'theirs' }],
      conversion: { strategy: 'None' },
    },
    status: { a: 1 },
  } as KubeObject;
  const wanted = {
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: { name: 'x', namespace: 'ns' },
    spec: { list: [named('new')], fresh: 1 },
  } as KubeObject;
  expect(asBefore(live, wanted)).toEqual({
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: { name: 'x', namespace: 'ns', labels: { old: '1' } },
    spec: { list: [{ name: 'c', gone: 1, image: 'edited' }] },
  });
});
