import path from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { createDriver } from '../../../src/engine/drivers/index.ts';
import { findDaemon } from '../../../src/host/daemon.ts';
import { CableTestbed, forever, until } from '../../netns/cable-testbed.ts';
import { kernelFacts } from '../../netns/kernel-facts.ts';
import { killEngineProcess, startEngineProcess } from './engine-process.ts';

let bed: CableTestbed | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

test('the kernel makes the link and encrypts; an engine that is killed and started again takes it over, not one packet lost', async () => {
  expect(kernelFacts().wireguard).toBe(true);
  bed = new CableTestbed(2);
  const [a, b] = bed.gateways;
  const drivers = bed.gateways.map((gateway) => createDriver('wireguard', gateway.dependencies));
  await drivers[1]!.start(forever);
  expect(drivers[1]!.description).toBe('WireGuard, kernel');
  bed.keepSynced(drivers[1]!, () => bed!.desired(b!, drivers));
  const desired = await bed.desired(a!, drivers);
  const first = await startEngineProcess('wireguard', a!, desired);
  let second;
  try {
    await until('pods reach each other', () => bed!.allReach(), 40_000);
    expect(bed.ip(a!, '-d', 'link', 'show', 'type', 'wireguard')).toContain(': submariner: ');
    expect(findDaemon(path.join(a!.dependencies.stateDir, 'wireguard'))).toBeUndefined();
    const wg = async (what: string): Promise<string> =>
      (await a!.runner.run('wg', ['show', 'submariner', what])).stdout;
    const [handshakes, state] = [await wg('latest-handshakes'), bed.snapshot(a!)];
    const [, before] = /(\d+)\s*$/.exec(await wg('transfer')) ?? [];
    const stop = bed.pinger(a!.podNamespace, b!.podAddress);
    await killEngineProcess(first);
    second = await startEngineProcess('wireguard', a!, desired);
    const pings = await stop();
    expect(pings.answered).toBe(pings.sent);
    expect(pings.sent).toBeGreaterThan(20);
    expect([await wg('latest-handshakes'), bed.snapshot(a!)]).toEqual([handshakes, state]);
    const [, after] = /(\d+)\s*$/.exec(await wg('transfer')) ?? [];
    expect(Number(after) - Number(before)).toBeGreaterThan(pings.sent * 84);
  } finally {
    first.kill('SIGKILL');
    second?.kill('SIGKILL');
  }
}, 120_000);
