import { describe, expect, test } from '@jest/globals';
import { EarlyGuard, desiredGuard } from '../../../src/engine/drivers/guard.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { FakeHost } from '../../fakes/host.ts';

const LINKS = ['submariner', 'submariner1'];
const [FIRST, SECOND] = ['10.131.0.0/16', '100.65.0.0/16'];
const never = new AbortController().signal;

const guarding = (...cidrs: readonly string[]) => desiredGuard(cidrs, LINKS);
const guarded = (host: FakeHost): string => host.snapshot(/^(link|address|rule|sysctl)/).join('\n');

function stage() {
  const host = new FakeHost();
  const early = () => new EarlyGuard({ runner: host, logger: silentLogger });
  return { host, early };
}

describe('the guard comes before the cables', () => {
  test('it is made where there is none, and not looked at again for what it holds', async () => {
    const { host, early } = stage();
    const guard = early();
    await guard.widen(guarding(FIRST), never);
    expect(guarded(host)).toContain(FIRST);
    expect(guarded(host)).toContain('never in clear');
    const { operations } = host;
    await guard.widen(guarding(FIRST), never);
    await guard.widen(guarding(), never);
    expect(host.operations).toBe(operations);
  });

  test('it gets what is new and loses nothing, also in a new process and with the links of another driver', async () => {
    const { host, early } = stage();
    await early().widen(desiredGuard([FIRST], ['ipsec0']), never);
    await early().widen(guarding(SECOND), never);
    expect(guarded(host)).toContain(FIRST);
    expect(guarded(host)).toContain(SECOND);
    expect(guarded(host)).toContain('submariner1');
    expect(guarded(host)).not.toContain('ipsec0');
  });

  test('what could not be guarded is tried again', async () => {
    const { host, early } = stage();
    const guard = early();
    host.countWritesOnly();
    host.failAt(1);
    await expect(guard.widen(guarding(FIRST), never)).rejects.toThrow();
    expect(guarded(host)).not.toContain(FIRST);
    await guard.widen(guarding(FIRST), never);
    expect(guarded(host)).toContain(FIRST);
  });
});
