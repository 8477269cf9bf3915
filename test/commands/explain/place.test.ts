import { expect, test } from '@jest/globals';
import { parsePlace } from '../../../src/commands/explain/place.ts';

test.each([
  ['pod/client', [undefined, 'pod', 'default', 'client']],
  ['east:pod/client', ['east', 'pod', 'default', 'client']],
  ['east:po/shop/cart-1', ['east', 'pod', 'shop', 'cart-1']],
  ['west:svc/shop/cart', ['west', 'service', 'shop', 'cart']],
  ['node/east-2', [undefined, 'node', 'default', 'east-2']],
  ['10.130.2.3', [undefined, 'address', '', '10.130.2.3']],
  ['east:10.130.2.3', ['east', 'address', '', '10.130.2.3']],
  ['arn:aws:eks:eu-1:42:cluster/prod:pod/a/b', ['arn:aws:eks:eu-1:42:cluster/prod', 'pod', 'a', 'b']],
  ['arn:aws:eks:eu-1:42:cluster/prod:10.0.0.1', ['arn:aws:eks:eu-1:42:cluster/prod', 'address', '', '10.0.0.1']],
  ['admin@east:node/n.example.org', ['admin@east', 'node', 'default', 'n.example.org']],
])('%s', (text, expected) => {
  const { cluster, kind, namespace, name } = parsePlace(text);
  expect([cluster, kind, namespace, name]).toEqual(expected);
});

test.each(['', 'client', 'pod/', 'pod/a/b/c', 'node/a/b', 'deployment/x', '10.0.0', '10.0.0.300', 'east:', 'svc//x'])(
  '"%s" is no place',
  (text) => {
    expect(() => parsePlace(text)).toThrow('is no place a packet could come from or go to');
  },
);
