import { describe, expect, test } from '@jest/globals';
import { chooseGateway } from '../../../src/engine/ha/choose.ts';
import type { PeerReport } from '../../../src/engine/ha/report.ts';
import { peer } from './reports.ts';

const NOW = 100_000;

function choose(reports: readonly PeerReport[], over: { current?: string; nowMs?: number } = {}): string {
  const known = new Map(reports.map((report) => [report.cableName, report]));
  return chooseGateway({
    endpoint: 'b1',
    announced: ['b1', 'b2', 'b3'],
    report: (name) => known.get(name),
    nowMs: NOW,
    ...over,
  });
}

describe('the gateway of another cluster', () => {
  test.each<[rule: string, reports: readonly PeerReport[], chosen: string]>([
    ['nobody is probed: the Endpoint’s', [], 'b1'],
    ['nobody ever sent a beat (upstream): the Endpoint’s', [peer('b1', { state: 'waiting' })], 'b1'],
    [
      'nobody is heard any more: the Endpoint’s',
      [peer('b1', { state: 'silent', active: true }), peer('b2', { state: 'silent' })],
      'b1',
    ],
    ['as announced', [peer('b1', { active: true }), peer('b2')], 'b1'],
    ['a newer claim than the broker knows of', [peer('b1'), peer('b2', { active: true, term: 1 })], 'b2'],
    ['two claims: the newer', [peer('b1', { active: true, term: 1 }), peer('b2', { active: true, term: 2 })], 'b2'],
    ['two claims of one term: the Endpoint’s', [peer('b1', { active: true }), peer('b0', { active: true })], 'b1'],
    ['the active one is silent: a standby', [peer('b1', { state: 'silent', active: true }), peer('b2')], 'b2'],
    [
      'a standby that is well before an active one that has just failed',
      [peer('b1', { active: true, stable: false }), peer('b2')],
      'b2',
    ],
    [
      'an active one that has just failed before a standby that has only just appeared, perhaps anew',
      [peer('b1', { active: true, stable: false }), peer('b2', { sinceMs: NOW - 29_000 })],
      'b1',
    ],
    [
      'an active one that has just failed before a standby that has too',
      [peer('b1', { active: true, stable: false }), peer('b2', { stable: false })],
      'b1',
    ],
    [
      'an active one that has just failed before a standby that leaves',
      [peer('b2', { active: true, stable: false }), peer('b1', { ready: false })],
      'b2',
    ],
    [
      'an active one that is not ready is active all the same',
      [peer('b1', { active: true, ready: false }), peer('b2')],
      'b1',
    ],
    [
      'anybody rather than nobody',
      [peer('b1', { state: 'silent' }), peer('b2', { stable: false, ready: false })],
      'b2',
    ],
    ['no claim at all: the Endpoint’s', [peer('b0'), peer('b1'), peer('b2')], 'b1'],
    [
      'no claim, the Endpoint’s is silent: in name order',
      [peer('b1', { state: 'silent' }), peer('b3'), peer('b2')],
      'b2',
    ],
    [
      'just started: the Endpoint’s, though others were heard first',
      [peer('b1', { state: 'waiting', sinceMs: NOW - 4000 }), peer('b2')],
      'b1',
    ],
    [
      'just started, another one is active',
      [peer('b1', { state: 'waiting', sinceMs: NOW - 4000 }), peer('b2', { active: true })],
      'b2',
    ],
    ['not heard of long after the start', [peer('b1', { state: 'waiting', sinceMs: NOW - 6000 }), peer('b2')], 'b2'],
    ['who is not announced does not count', [peer('b1'), peer('c1', { active: true, term: 9 })], 'b1'],
  ])('%s', (_, reports, chosen) => {
    expect(choose(reports)).toBe(chosen);
    expect(choose(reports.toReversed())).toBe(chosen);
  });

  test('stays among equals', () => {
    const reports = [peer('b1', { state: 'silent' }), peer('b2'), peer('b3')];
    expect(choose(reports, { current: 'b3' })).toBe('b3');
    expect(choose([...reports, peer('b1')], { current: 'b3' })).toBe('b3');
  });
});
