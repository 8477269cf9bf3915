import { expect, test } from '@jest/globals';
import { unreadyReasons, type EngineView } from '../../../src/engine/telemetry/state.ts';

interface Seen {
  readonly leader?: boolean;
  readonly ready?: boolean;
  readonly aliveMs?: number;
  readonly failures?: readonly string[];
}

function view({ leader = false, ready = false, aliveMs = 1000, failures = [] }: Seen): EngineView {
  const current = { ready: failures.length === 0, failures };
  const availability = { readiness: { ready, reason: ready ? '' : 'it has no cables on standby' } };
  const recorder = { state: { local: { current }, availability }, startedAtMs: 5000, nowMs: 5000 + aliveMs };
  return { stores: {}, elector: { leader }, recorder } as unknown as EngineView;
}

test.each<[what: string, seen: Seen, reasons: readonly string[]]>([
  ['the active gateway', { leader: true }, []],
  ['a standby that could take over', { ready: true }, []],
  ['one that could not yet', {}, ['could not take over yet: it has no cables on standby']],
  ['one that never will, such as a third', { aliveMs: 20_001 }, []],
  ['one whose driver does not work', { ready: true, failures: ['no /dev/net/tun'] }, ['no /dev/net/tun']],
])('readiness of %s', (_, seen, reasons) => {
  expect(unreadyReasons(view(seen))).toEqual(reasons);
});
