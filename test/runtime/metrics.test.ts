import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { renderMetrics, Totals, type Metric } from '../../src/runtime/metrics.ts';

function gauge(name: string, samples: Metric['samples']): Metric {
  return { name, type: 'gauge', help: `Help of ${name}.`, samples };
}

describe('renderMetrics', () => {
  test('writes help, type and one line a series', () => {
    const text = renderMetrics([
      { name: 'a_total', type: 'counter', help: 'two\nlines and \\', samples: [{ value: 3 }] },
      gauge('b', [
        { labels: { x: '1', y: '2' }, value: 0.5 },
        { labels: { x: '3', y: '' }, value: Number.NaN },
        { labels: { x: '4', y: '' }, value: Number.POSITIVE_INFINITY },
      ]),
    ]);
    expect(text).toBe(
      [
        '# HELP a_total two\\nlines and \\\\',
        '# TYPE a_total counter',
        'a_total 3',
        '# HELP b Help of b.',
        '# TYPE b gauge',
        'b{x="1",y="2"} 0.5',
        'b{x="3",y=""} NaN',
        'b{x="4",y=""} +Inf',
        '',
      ].join('\n'),
    );
  });

  test('leaves out a metric without series, and a second series with the same labels', () => {
    const twice = gauge('b', [
      { labels: { x: '1' }, value: 1 },
      { labels: { x: '1' }, value: 2 },
    ]);
    expect(renderMetrics([gauge('a', []), twice]).split('\n')).toEqual([
      '# HELP b Help of b.',
      '# TYPE b gauge',
      'b{x="1"} 1',
      '',
    ]);
  });

  test('any label text stays on its line and in its quotes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const rendered = renderMetrics([gauge('m', [{ labels: { l: text }, value: 1 }])]);
        const line = rendered.slice(rendered.indexOf('gauge\n') + 6, -1);
        const inner = /^m\{l="((?:[^"\\\n]|\\["\\n])*)"\} 1$/.exec(line)?.[1];
        const unescaped = inner?.replaceAll(/\\(.)/g, (_, char: string) => (char === 'n' ? '\n' : char));
        expect(unescaped).toBe(text);
      }),
    );
  });
});

describe('Totals', () => {
  const look = (sources: Readonly<Record<string, number>>): ReadonlyMap<string, ReadonlyMap<string, number>> =>
    new Map([['cable', new Map(Object.entries(sources))]]);

  test('an SA that is replaced does not make the total fall', () => {
    const totals = new Totals();
    expect(totals.take(look({ sa1: 100 })).get('cable')).toBe(100);
    expect(totals.take(look({ sa1: 150, sa2: 10 })).get('cable')).toBe(160);
    expect(totals.take(look({ sa2: 30 })).get('cable')).toBe(180);
    expect(totals.take(look({ sa2: 5 })).get('cable')).toBe(185);
    expect(totals.last.get('cable')).toBe(185);
  });

  test('a series that is gone is forgotten', () => {
    const totals = new Totals();
    totals.take(look({ sa1: 100 }));
    expect(totals.take(new Map()).size).toBe(0);
    expect(totals.last.size).toBe(0);
  });

  test('a total never falls while its series stays', () => {
    const looks = fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.nat()), { minLength: 2 });
    fc.assert(
      fc.property(looks, (all) => {
        const totals = new Totals();
        const values = all.map((sources) => totals.take(look(sources)).get('cable') ?? -1);
        for (const [index, value] of values.entries()) expect(value).toBeGreaterThanOrEqual(values[index - 1] ?? 0);
      }),
    );
  });
});
