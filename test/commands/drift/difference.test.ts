import { expect, test } from '@jest/globals';
import { fieldChanges } from '../../../src/commands/drift/difference.ts';

const container = (image: string, env: readonly object[] = []): object => ({
  kind: 'DaemonSet',
  metadata: { name: 'a' },
  spec: { containers: [{ name: 'x.y', image, env }] },
});

test('items of lists are told apart by their names, also names with dots', () => {
  const live = container('a:1', [
    { name: 'A', value: '1' },
    { name: 'B', value: '2' },
  ]);
  const wanted = container('a:2', [
    { name: 'B', value: '3' },
    { name: 'C', value: '4' },
  ]);
  expect(fieldChanges(live, wanted)).toEqual([
    { path: 'spec.containers[x.y].image', live: 'a:1', wanted: 'a:2' },
    { path: 'spec.containers[x.y].env[A]', live: { name: 'A', value: '1' }, wanted: undefined },
    { path: 'spec.containers[x.y].env[B].value', live: '2', wanted: '3' },
    { path: 'spec.containers[x.y].env[C]', live: undefined, wanted: { name: 'C', value: '4' } },
  ]);
});

test('lists without names are compared item by item, or as a whole when their lengths differ', () => {
  expect(fieldChanges({ rules: [{ verbs: ['get'] }] }, { rules: [{ verbs: ['get', 'list'] }] })).toEqual([
    { path: 'rules[0].verbs', live: ['get'], wanted: ['get', 'list'] },
  ]);
  expect(fieldChanges({ rules: [{ a: 1 }] }, { rules: [] })).toEqual([{ path: 'rules', live: [{ a: 1 }], wanted: [] }]);
});

test('what the API server writes by itself is no change, nor is an empty map instead of none', () => {
  const live = {
    metadata: { uid: 'a', generation: 1, managedFields: [1], resourceVersion: '1', labels: {} },
    status: 1,
  };
  const wanted = { metadata: { uid: 'b', generation: 2, managedFields: [2], resourceVersion: '2' }, status: 2 };
  expect(fieldChanges(live, wanted)).toEqual([]);
  expect(fieldChanges({ on: false }, {})).toEqual([{ path: 'on', live: false, wanted: undefined }]);
});

test('the order of fields does not matter, that of lists does', () => {
  expect(fieldChanges({ a: [{ b: 1, c: 2 }] }, { a: [{ c: 2, b: 1 }] })).toEqual([]);
  expect(fieldChanges({ a: [1, 2] }, { a: [2, 1] })).toHaveLength(1);
});
