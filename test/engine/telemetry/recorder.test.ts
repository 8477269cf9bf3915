import { describe, expect, test } from '@jest/globals';
import type { Connection, Gateway } from '../../../src/api/types.ts';
import type { CableDriver, DesiredCables } from '../../../src/engine/drivers/driver.ts';
import { EngineRecorder } from '../../../src/engine/telemetry/recorder.ts';
import { EMPTY_STATE } from '../../../src/net/state.ts';
import { FakeClock } from '../../fakes/clock.ts';

function gateway(...connections: readonly (readonly [string, Connection['status']])[]): Gateway {
  const status = {
    connections: connections.map(([cluster, state]) => ({
      status: state,
      statusMessage: '',
      endpoint: { cluster_id: cluster, cable_name: `cable-${cluster}` },
    })),
  };
  return { status } as unknown as Gateway;
}

describe('EngineRecorder', () => {
  test('knows since when a connection is connected, through repeated reports, and forgets it when it is not', async () => {
    const clock = new FakeClock(1000);
    const recorder = new EngineRecorder(clock);
    const since = (): number | undefined => recorder.connectedSince(recorder.gateway!.status.connections[0]!);
    recorder.reported(gateway(['west', 'connecting']));
    expect(since()).toBeUndefined();
    recorder.reported(gateway(['west', 'connected']));
    await clock.advance(5000);
    recorder.reported(gateway(['west', 'connected'], ['north', 'connected']));
    expect(since()).toBe(1000);
    recorder.reported(gateway(['west', 'error']));
    expect(since()).toBeUndefined();
    recorder.reported(gateway(['west', 'connected']));
    expect(since()).toBe(6000);
  });

  test('keeps the last plan that was not empty', () => {
    const recorder = new EngineRecorder(new FakeClock());
    const rule = { priority: 100, table: 100 };
    recorder.tookNetwork(EMPTY_STATE, [{ action: 'addRule', rule }]);
    recorder.tookNetwork({ ...EMPTY_STATE, rules: [rule] }, []);
    expect(recorder.applied).toEqual({
      time: '2030-01-01T00:00:00.000Z',
      steps: ['+ rule pref 100 lookup 100'],
    });
    expect(recorder.network?.rules).toEqual([rule]);
  });

  test('passes everything on to the driver and notes what is asked of it', async () => {
    const calls: string[] = [];
    const driver = {
      name: 'vxlan',
      description: 'VXLAN',
      slots: 2,
      start: async () => void calls.push('start'),
      backendConfig: async () => ({ a: 'b' }),
      sync: async () => Promise.reject(new Error('no')),
      connections: async () => [],
      onChange: () => void calls.push('onChange'),
      prepare: async () => [],
      release: async () => async () => undefined,
      cleanup: async () => void calls.push('cleanup'),
    } satisfies CableDriver;
    const recorder = new EngineRecorder(new FakeClock());
    const recorded = recorder.recording(driver);
    const desired: DesiredCables = { cables: [], guardedCidrs: ['10.0.0.0/8'], lookup: 'all', cniAddress: undefined };
    const { signal } = new AbortController();
    await expect(recorded.sync(desired, signal)).rejects.toThrow('no');
    await recorded.start(signal);
    recorded.onChange(() => undefined);
    await recorded.cleanup();
    expect(recorder.cables).toBe(desired);
    expect(calls).toEqual(['start', 'onChange', 'cleanup']);
    expect([recorded.name, recorded.description, recorded.slots]).toEqual(['vxlan', 'VXLAN', 2]);
    expect(await recorded.backendConfig()).toEqual({ a: 'b' });
    expect(await recorded.connections()).toEqual([]);
  });
});
