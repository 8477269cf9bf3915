import { describe, expect, test } from '@jest/globals';
import { chooseGateways } from '../../src/engine/beatpeers.ts';
import type { Remote } from '../../src/engine/cables.ts';
import type { PeerReport } from '../../src/engine/ha/report.ts';
import { peer } from './ha/reports.ts';

const NOW = 100_000;

function remote(name: string, current: boolean): Remote {
  const spec = { cluster_id: name.replace(/\d+$/, ''), cable_name: name, hostname: name };
  return { spec, current, announced: true } as unknown as Remote;
}

const REMOTES = [remote('west1', true), remote('west2', false)];

function chosen(reports: readonly PeerReport[], reached: readonly string[], last = 'west1'): string | undefined {
  return chooseGateways(REMOTES, {
    report: (name) => reports.find(({ cableName }) => cableName === name),
    reached: (name) => reached.includes(name),
    before: new Map([['west', last]]),
    nowMs: NOW,
  }).get('west');
}

describe('the gateway that packets for a cluster go to', () => {
  const failed = peer('west1', { active: true, stable: false });

  test('one that is heard but cannot have a cable yet gets none', () => {
    expect(chosen([failed, peer('west2')], ['west1'])).toBe('west1');
    expect(chosen([failed, peer('west2')], ['west1', 'west2'])).toBe('west2');
    expect(chosen([peer('west1'), peer('west2', { active: true, term: 2 })], ['west1'])).toBe('west1');
  });

  test('one that is no longer reached gives way to one that is', () => {
    expect(chosen([failed, peer('west2')], ['west2'], 'west1')).toBe('west2');
  });

  test('none is reached: the Endpoint’s', () => {
    expect(chosen([peer('west1'), peer('west2', { active: true })], [], 'west2')).toBe('west1');
  });
});
