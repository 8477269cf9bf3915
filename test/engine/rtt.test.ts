import { expect, test } from '@jest/globals';
import { RttWindow } from '../../src/engine/rtt.ts';

test('no sample, no statistics', () => {
  expect(new RttWindow().latency()).toBeUndefined();
});

test('statistics as upstream writes them', () => {
  const window = new RttWindow();
  for (const ms of [2, 4, 4, 4, 5, 5, 7, 9]) window.add(ms);
  expect(window.latency()).toEqual({ last: '9ms', min: '2ms', average: '5ms', max: '9ms', stdDev: '2ms' });
});

test('only the last 1000 samples count', () => {
  const window = new RttWindow();
  window.add(5000);
  for (let index = 0; index < 1000; index += 1) window.add(1.2345);
  expect(window.latency()).toEqual({
    last: '1.2345ms',
    min: '1.2345ms',
    average: '1.2345ms',
    max: '1.2345ms',
    stdDev: '0s',
  });
});
