import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { overlayUse } from '../../src/host/overlayuse.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'overlay-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     420       5    0    0    0     0          0         0      420       5    0    0    0     0       0          0
vx-submariner:123456     789    0    0    0     0          0         0     1000      10    0    1    0     0       0          0
`;
const HEAD = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
const CONNECTED = 'vx-submariner\t000000F0\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n';
const REFUSED = '*\t0000830A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n';
const OUT = 'vx-submariner\t0000830A\t0B001FF0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n';

function write(dev: string, route: string): void {
  writeFileSync(path.join(folder, 'dev'), dev);
  writeFileSync(path.join(folder, 'route'), route);
}

test.each([
  ['the gateway', `${HEAD}${CONNECTED}${REFUSED}`, { received: 789, leadsOut: false }],
  ['a node that sends to it', `${HEAD}${CONNECTED}${OUT}`, { received: 789, leadsOut: true }],
  ['no route at all', '', { received: 789, leadsOut: false }],
])('%s', (_what, route, expected) => {
  write(DEV, route);
  expect(overlayUse('vx-submariner', folder)).toEqual(expected);
});

test('without the link, or files, nothing is known', () => {
  write(DEV, HEAD);
  expect(overlayUse('vx-other', folder)).toBeUndefined();
  expect(overlayUse('vx-submariner', path.join(folder, 'none'))).toBeUndefined();
});

test('this machine has a loopback', () => {
  expect(overlayUse('lo')?.received).toBeGreaterThanOrEqual(0);
});
