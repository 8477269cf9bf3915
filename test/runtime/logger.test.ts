import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { Backoff } from '../../src/runtime/backoff.ts';
import { createLogger, parseLogLevel, type LogLevel } from '../../src/runtime/logger.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';
import { systemClock } from '../../src/runtime/clock.ts';

function setUp(level: LogLevel, format: 'json' | 'text') {
  const lines: string[] = [];
  return { lines, logger: createLogger({ level, format, write: (line) => lines.push(line), now: () => 0 }) };
}

describe('createLogger', () => {
  test('text lines carry fields that can be read back', () => {
    const { lines, logger } = setUp('info', 'text');
    logger.with({ cluster: 'east' }).warn('tunnel is down', { peer: 'a b', count: 2, none: undefined, list: ['x'] });
    expect(lines).toEqual([
      '1970-01-01T00:00:00.000Z WARN  tunnel is down cluster=east peer="a b" count=2 list=["x"]\n',
    ]);
  });

  test('json lines carry errors with their causes, expected ones without a stack', () => {
    const { lines, logger } = setUp('info', 'json');
    logger.error('failed', { error: new ExpectedError('no rights'), big: 1n });
    logger.error('failed', { error: new Error('outer', { cause: new Error('inner') }) });
    expect(JSON.parse(lines[0]!)).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      level: 'error',
      message: 'failed',
      error: 'no rights',
      big: '1',
    });
    expect(JSON.parse(lines[1]!).error).toMatch(/outer[\s\S]*caused by: Error: inner/);
  });

  test.each([
    ['silent', []],
    ['error', ['error']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
  ] as const)('level %s writes %j', (level, written) => {
    const { lines, logger } = setUp(level, 'json');
    for (const each of ['error', 'warn', 'info', 'debug'] as const) logger[each]('x');
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(written);
    expect(parseLogLevel(level.toUpperCase())).toBe(level);
  });

  test('anything can be logged on one line', () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    for (const format of ['json', 'text'] as const) {
      const { lines, logger } = setUp('info', format);
      logger.info('circle', circle);
      fc.assert(
        fc.property(fc.string(), fc.dictionary(fc.string(), fc.anything()), (text, fields) =>
          logger.info(text.replaceAll(/\s/g, ''), fields),
        ),
      );
      for (const line of lines) expect(line.trimEnd()).not.toContain('\n');
      expect(lines.length).toBeGreaterThan(50);
    }
  });
});

describe('Backoff', () => {
  test('delays stay within the upper half of their step and below the maximum', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.integer({ min: 0, max: 50 }),
        (random, failures) => {
          const backoff = new Backoff({ initialMs: 100, maxMs: 3000, random: () => random });
          for (let index = 0; index < failures; index += 1) backoff.nextMs();
          const full = Math.min(3000, 100 * 2 ** failures);
          const next = backoff.nextMs();
          expect(next).toBeGreaterThanOrEqual(full / 2);
          expect(next).toBeLessThanOrEqual(full);
          backoff.reset();
          expect(backoff.nextMs()).toBeLessThanOrEqual(100);
        },
      ),
    );
  });
});

describe('systemClock', () => {
  test('a sleep ends when it is aborted, before or meanwhile', async () => {
    const stop = new AbortController();
    const long = systemClock.sleep(1_000_000, stop.signal);
    stop.abort();
    await long;
    await systemClock.sleep(1_000_000, stop.signal);
    const start = systemClock.monotonic();
    await systemClock.sleep(5);
    expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(4);
  });
});
