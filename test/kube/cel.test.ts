import { describe, expect, test } from '@jest/globals';
import { compileRule } from '../../src/kube/cel.ts';

const schema = {
  type: 'object',
  properties: {
    min: { type: 'integer' },
    max: { type: 'integer' },
    share: { type: 'number' },
    names: { type: 'array', items: { type: 'string' } },
    labels: { type: 'object', additionalProperties: { type: 'integer' } },
    port: { 'x-kubernetes-int-or-string': true },
    inner: { type: 'object', properties: { on: { type: 'boolean' } } },
  },
} as const;

describe('a validation rule', () => {
  test.each([
    ['!has(self.min) || !has(self.max) || self.min <= self.max', { min: 1, max: 2 }, true],
    ['!has(self.min) || !has(self.max) || self.min <= self.max', { min: 3, max: 2 }, false],
    ['!has(self.min) || self.min <= self.max', {}, true],
    ['self.min + 1 == self.max', { min: 1, max: 2 }, true],
    ['self.share > 0.5', { share: 0.75 }, true],
    ['self.names.all(name, name.startsWith("a")) && size(self.names) == 2', { names: ['a', 'ab'] }, true],
    ['self.labels["x"] > 1', { labels: { x: 2 } }, true],
    ['self.port == "http"', { port: 'http' }, true],
    ['self.inner.on ? self.min == 1 : false', { inner: { on: true }, min: 1 }, true],
  ])('%s of %j is %j', (rule, self, holds) => {
    expect(compileRule(rule, schema)({ self, oldSelf: undefined })).toBe(holds);
  });

  test('compares with what was there before', () => {
    const grows = compileRule('self.min >= oldSelf.min', schema);
    expect(grows({ self: { min: 2 }, oldSelf: { min: 1 } })).toBe(true);
    expect(grows({ self: { min: 1 }, oldSelf: { min: 2 } })).toBe(false);
  });

  test.each([
    ['self.nothing > 1', /No such key: nothing/],
    ['self.min > ', /EOF/],
    ['self.min == "a"', /no such overload/],
    ['self.min', /must evaluate to a bool/],
    ['other == 1', /other/],
  ])('%s is refused before it is used', (rule, words) => {
    expect(() => compileRule(rule, schema)).toThrow(words);
  });

  test('throws when it needs what is not there', () => {
    expect(() => compileRule('self.min <= self.max', schema)({ self: { min: 1 }, oldSelf: undefined })).toThrow(
      'No such key: max',
    );
  });
});
