import { describe, expect, test } from '@jest/globals';
import type { PeerReport } from '../../src/engine/ha/report.ts';
import type { LocalGateway } from '../../src/engine/local.ts';
import { readiness, type ReadinessInputs } from '../../src/engine/readiness.ts';

const report = (cableName: string, clusterId: string, state: PeerReport['state']): PeerReport => ({
  cableName,
  clusterId,
  state,
  sinceMs: 0,
  stable: state === 'alive',
  active: false,
  ready: true,
  term: 0,
  hears: [],
  uses: new Map(),
});

const WORKING = { ready: true, failures: [], driver: { slots: 2, description: 'test' } } as unknown as LocalGateway;

const STANDBY: ReadinessInputs = {
  nowMs: 10_000,
  local: WORKING,
  leaves: false,
  leader: false,
  clusterId: 'east',
  slot: 1,
  warmClusters: new Set(['west']),
  activeName: 'east-1',
  activeNode: 'east-1',
  reports: [report('east-1', 'east', 'alive'), report('west-1', 'west', 'alive'), report('west-2', 'west', 'alive')],
  uses: new Map([['west', 'west-1']]),
};

/** The standby where other clusters' gateways are heard so. */
const hearing = (first: PeerReport['state'], second: PeerReport['state'], uses = 'west-1') =>
  readiness({
    ...STANDBY,
    reports: [report('east-1', 'east', 'alive'), report('west-1', 'west', first), report('west-2', 'west', second)],
    uses: new Map([['west', uses]]),
  });

/** The standby that hears west, with north in such a state since a time, and what the active gateway hears. */
const withNorth = (
  state: PeerReport['state'],
  sinceMs: number,
  hears: readonly string[],
  active: PeerReport['state'] = 'alive',
) =>
  readiness({
    ...STANDBY,
    warmClusters: new Set(['west', 'north']),
    reports: [
      { ...report('east-1', 'east', active), hears },
      report('west-1', 'west', 'alive'),
      { ...report('north-1', 'north', state), sinceMs },
      { ...report('north-2', 'north', 'waiting'), sinceMs },
    ],
    uses: new Map([
      ['west', 'west-1'],
      ['north', 'north-1'],
    ]),
  });

describe('a standby is ready', () => {
  test.each([
    ['another cluster has not answered it nor the active gateway', withNorth('waiting', 9000, ['west-1'])],
    ['another cluster never answered it, only the active gateway', withNorth('waiting', -5000, ['west-1', 'north-1'])],
    ['another cluster was heard and is silent', withNorth('silent', 9000, ['west-1', 'north-1'])],
    ['the active gateway is gone, whomever it heard', withNorth('waiting', 9000, ['west-1', 'north-1'], 'silent')],
    ['all clusters that the active gateway hears answer', withNorth('alive', 9000, ['west-1', 'north-1'])],
    ['every gateway answers', hearing('alive', 'alive')],
    ['the one that is used answers, and no other does', hearing('alive', 'silent')],
    ['the one that is active there does not answer, but another one is used', hearing('waiting', 'alive', 'west-2')],
    ['it leads, whatever it hears', readiness({ ...STANDBY, leader: true, reports: [] })],
    [
      'a cluster that announces no gateways sends no beats',
      readiness({ ...STANDBY, warmClusters: new Set(), reports: [], uses: new Map([['west', 'west-1']]) }),
    ],
  ])('when %s', (_when, { ready, reason }) => {
    expect({ ready, reason }).toEqual({ ready: true, reason: '' });
  });
});

describe('a standby is not ready', () => {
  test.each([
    [
      'it is being stopped, whoever leads',
      readiness({ ...STANDBY, leaves: true, leader: true }),
      'it is being stopped',
    ],
    ['its node was not looked at', readiness({ ...STANDBY, local: undefined }), 'the node was not looked at yet'],
    ['nobody announces it', readiness({ ...STANDBY, slot: undefined }), 'does not announce it'],
    ['no gateway answers', hearing('waiting', 'silent'), 'no other cluster answers through its cables (west)'],
    [
      'packets would go to one that has not answered yet',
      hearing('waiting', 'alive'),
      'its cable to the active gateway of west has not answered yet',
    ],
    [
      'a cluster that the active gateway hears is about to answer',
      withNorth('waiting', 9000, ['west-1', 'north-1']),
      'its cables to north have not answered yet, those of the active gateway have',
    ],
    [
      'it has not heard its own active gateway',
      readiness({ ...STANDBY, reports: [report('east-1', 'east', 'waiting'), ...STANDBY.reports.slice(1)] }),
      'it has heard nothing of the active gateway east-1',
    ],
  ])('when %s', (_when, { ready, reason }, why) => {
    expect(ready).toBe(false);
    expect(reason).toContain(why);
  });
});
