import { expect, test } from '@jest/globals';
import type { KubeObject } from '../../src/kube/client.ts';
import { ownedFields } from '../../src/kube/ownedfields.ts';

const fieldsV1 = {
  'f:metadata': { 'f:labels': { 'f:app': {} } },
  'f:spec': {
    'f:list': { 'k:{"name":"a"}': { '.': {}, 'f:name': {}, 'f:image': {} } },
    'f:set': { 'v:"x"': {} },
    'f:whole': {},
    'f:gone': {},
  },
};

function object(operation: string, extra: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: {
      name: 'n',
      labels: { app: 'a', theirs: 'b' },
      managedFields: [{ manager: 'us', operation, fieldsV1, ...extra }],
    },
    spec: {
      list: [
        { name: 'b', image: 'other' },
        { name: 'a', image: 'ours', pull: 'default' },
      ],
      set: ['x', 'y'],
      whole: [{ any: 1 }],
      theirs: 1,
    },
  } as KubeObject;
}

test('what a manager applied, with the values of now; nothing of others and no defaults', () => {
  expect(ownedFields(object('Apply'), 'us')).toEqual({
    metadata: { labels: { app: 'a' } },
    spec: { list: [{ name: 'a', image: 'ours' }], set: ['x'], whole: [{ any: 1 }] },
  });
});

test('neither what was updated nor what is of another manager or of the status', () => {
  expect(ownedFields(object('Update'), 'us')).toEqual({});
  expect(ownedFields(object('Apply'), 'them')).toEqual({});
  expect(ownedFields(object('Apply', { subresource: 'status' }), 'us')).toEqual({});
  expect(ownedFields({ metadata: { name: 'x' } }, 'us')).toEqual({});
});
