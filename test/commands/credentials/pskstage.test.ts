import { expect, test } from '@jest/globals';
import { advanced, type HeldKeys, keyOnTheWay, stageOf } from '../../../src/commands/credentials/pskstage.ts';

const held = (psk: string, next = '', previous = ''): HeldKeys => ({ clusterId: psk, psk, next, previous });

test('a cluster goes from the old key over both to the new one', () => {
  let keys = held('old');
  const seen: unknown[] = [];
  for (let count = 0; count < 4; count += 1) {
    seen.push(stageOf(keys, 'new'));
    const data = advanced(keys, 'new');
    keys = held(data['psk'] ?? '', data['psk-next'], data['psk-previous']);
  }
  expect(seen).toEqual(['old', 'accepts', 'uses', 'done']);
  expect(keys).toMatchObject({ psk: 'new', next: '', previous: '' });
});

test.each([
  ['nothing has begun', [held('old'), held('old')], undefined],
  ['one accepts', [held('old', 'new'), held('old')], 'new'],
  ['one uses, one accepts', [held('new', '', 'old'), held('old', 'new')], 'new'],
  ['all use', [held('new', '', 'old'), held('new', '', 'old')], 'new'],
  ['one is done', [held('new'), held('new', '', 'old')], 'new'],
  ['one is done, one does not know', [held('new', '', 'old'), held('old')], 'new'],
] as const)('after an interruption it goes on with the same key: %s', (_, clusters, key) => {
  expect(keyOnTheWay(clusters)).toBe(key);
});

test.each([
  ['different keys from the start', [held('a'), held('b')]],
  ['two on the way', [held('old', 'a'), held('old', 'b')]],
  ['three keys', [held('a', '', 'old'), held('b'), held('c')]],
] as const)('%s: nothing is begun', (_, clusters) => {
  expect(() => keyOnTheWay(clusters)).toThrow('have different pre-shared keys already');
});
