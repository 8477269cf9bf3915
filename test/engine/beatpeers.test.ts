import { describe, expect, test } from '@jest/globals';
import { beatPeers, chooseGateways } from '../../src/engine/beatpeers.ts';
import type { EndpointSpec } from '../../src/api/types.ts';
import type { Remote } from '../../src/engine/cables.ts';
import type { PeerReport } from '../../src/engine/ha/report.ts';
import { peer } from './ha/reports.ts';

const NOW = 100_000;

function remote(name: string, current: boolean): Remote {
  const spec = { cluster_id: name.replace(/\d+$/, ''), cable_name: name, hostname: name };
  return { spec, current, announced: true } as unknown as Remote;
}

const REMOTES = [remote('west1', true), remote('west2', false)];

function chosen(reports: readonly PeerReport[], cabled: readonly string[], last = 'west1'): string | undefined {
  return chooseGateways(REMOTES, {
    report: (name) => reports.find(({ cableName }) => cableName === name),
    cabled: (name) => cabled.includes(name),
    before: new Map([['west', last]]),
    nowMs: NOW,
  }).get('west');
}

describe('the gateway that packets for a cluster go to', () => {
  const failed = peer('west1', { active: true, stable: false });

  test('one that is heard but has no cable yet gets none', () => {
    expect(chosen([failed, peer('west2')], ['west1'])).toBe('west1');
    expect(chosen([failed, peer('west2')], ['west1', 'west2'])).toBe('west2');
    expect(chosen([peer('west1'), peer('west2', { active: true, term: 2 })], ['west1'])).toBe('west1');
  });

  test('one that has no cable any more gives way to one that has', () => {
    expect(chosen([failed, peer('west2')], ['west2'], 'west1')).toBe('west2');
  });

  test('none has: the Endpoint’s', () => {
    expect(chosen([peer('west1'), peer('west2', { active: true })], [], 'west2')).toBe('west1');
  });
});

test('beats go to gateways of the own cluster at once, and to others when they have their cables', () => {
  const gateway = (name: string): { readonly spec: EndpointSpec; readonly slot: number } => ({
    spec: { cable_name: name, private_ip: `address of ${name}`, backend: 'vxlan' } as unknown as EndpointSpec,
    slot: 0,
  });
  const theirs = REMOTES.map((one) => ({ ...one, spec: { ...one.spec, healthCheckIP: '10.1.0.1' } }));
  const peers = (...cabled: readonly string[]): readonly string[] =>
    beatPeers({
      config: { clusterId: 'east', beatIntervalMs: 100 },
      spec: gateway('east1').spec,
      announced: { term: 0, gateways: [gateway('east1'), gateway('east2')] },
      remotes: { accepted: theirs },
      cabled: (name) => cabled.includes(name),
    }).map(({ cableName }) => cableName);
  expect(peers()).toEqual(['east2']);
  expect(peers('west2')).toEqual(['east2', 'west2']);
  expect(peers('west1', 'west2')).toEqual(['east2', 'west1', 'west2']);
});
