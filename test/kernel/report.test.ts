import { describe, expect, test } from '@jest/globals';
import { Lines, describeEvent, parseEvent, totalsOf, type GuestEvent } from './report.ts';

const total = { total: { passed: 3, failed: 0, skipped: 1 } };

describe('the console of a guest', () => {
  test('is cut into lines, and events are found among what else is said', () => {
    const lines = new Lines();
    expect(lines.push('[ 1.0] boot\r\n@@ {"ex')).toEqual(['[ 1.0] boot\r']);
    const [line] = lines.push('it":0}\r\n');
    expect(parseEvent(line!)).toEqual({ exit: 0 });
    expect(parseEvent('c[2J@@ {"kernel":"6.1","seconds":2}')).toEqual({ kernel: '6.1', seconds: 2 });
    expect(parseEvent('[ 1.0] boot')).toBeUndefined();
    expect(parseEvent('@@ {"ex [ 1.0] printk }')).toBeUndefined();
  });
});

describe('numbers', () => {
  test.each([
    ['all told', [total, { exit: 0 }], 0],
    ['failures told', [{ total: { passed: 3, failed: 2, skipped: 1 } }, { exit: 1 }], 2],
    ['the guest never spoke', [], 1],
    ['it was gone before the end', [total], 1],
    ['it ended in another way than its tests', [total, { exit: 71 }], 1],
    ['no test ran', [{ total: { passed: 0, failed: 0, skipped: 9 } }, { exit: 0 }], 1],
  ])('%s', (_name, events, failed) => {
    expect(totalsOf(events).failed).toBe(failed);
  });
});

test('what was seen of a run that was ended counts', () => {
  const seen = (status: string): GuestEvent => ({ file: 'a.test.ts', test: 'b', status, ms: 1, failure: '' });
  const first = [seen('passed'), seen('passed'), seen('passed'), seen('pending'), total];
  const ended = [...first, seen('passed'), seen('failed'), seen('pending')];
  expect(totalsOf(ended)).toEqual({ passed: 4, failed: 2, skipped: 2 });
  expect(totalsOf([...first, { exit: 0 }])).toEqual({ passed: 3, failed: 0, skipped: 1 });
});

test('tests are shown as they end, skipped ones are not', () => {
  const event = { file: 'a.test.ts', test: 'b', status: 'passed', ms: 1234, failure: '' };
  expect(describeEvent(event)).toBe('ok     a: b (1.2 s)');
  expect(describeEvent({ ...event, status: 'failed', failure: 'x\ny' })).toBe(
    'FAILED a: b (1.2 s)\n       x\n       y',
  );
  expect(describeEvent({ ...event, status: 'pending' })).toBeUndefined();
});
