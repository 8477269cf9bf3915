import { expect, test } from '@jest/globals';
import { engineMetrics } from '../../src/engine/telemetry/metrics.ts';
import { linkMetrics } from '../../src/host/linkmetrics.ts';
import { routeAgentMetrics } from '../../src/routeagent/telemetry/metrics.ts';
import { daemonMetrics } from '../../src/runtime/daemonmetrics.ts';
import type { Metric } from '../../src/runtime/metrics.ts';
import { page } from './pages.ts';

const GUIDE = page('docs/metrics.md').text;

function documented(heading: string): readonly string[] {
  const [, after = ''] = GUIDE.split(`\n## ${heading}\n`);
  const [section = ''] = after.split('\n## ');
  return [...section.matchAll(/^\| `(\w+)` \| (counter|gauge) \|/gm)].map(([, name, type]) => `${name} ${type}`).sort();
}

function served(metrics: readonly Metric[]): readonly string[] {
  return metrics.map(({ name, type }) => `${name} ${type}`).sort();
}

const NOTHING = { gathered: undefined, failure: undefined, applied: undefined, loops: [], verdict: () => undefined };

test('the page lists the metrics of the engine, no more and no less', () => {
  const metrics = engineMetrics({
    gateway: undefined,
    gateways: 0,
    startedAtMs: 0,
    syncs: 0,
    connectedSince: () => undefined,
    rxBytes: new Map(),
    txBytes: new Map(),
    brokerConnected: undefined,
  });
  expect(documented('Metrics of the engine')).toEqual(served(metrics));
});

test('the page lists the metrics of the route agent, no more and no less', () => {
  expect(documented('Metrics of the route agent')).toEqual(
    served(routeAgentMetrics({ clusterId: 'east', nodeName: 'n' }, NOTHING)),
  );
});

test('the page lists the metrics of both, no more and no less', () => {
  const facts = { version: '1', startedAtMs: 0, ready: true, loops: [], caches: [] };
  expect(documented('Metrics of both')).toEqual(served([...linkMetrics([], []), ...daemonMetrics(facts)]));
});

test('alerts use metrics that exist', () => {
  const used = new Set(GUIDE.match(/\bsubmariner_\w+/g));
  const known = new Set([...GUIDE.matchAll(/^\| `(submariner_\w+)` \|/gm)].map(([, name]) => name ?? ''));
  expect(known.size).toBeGreaterThan(15);
  expect([...used].filter((name) => !known.has(name))).toEqual([]);
});
