import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import type { CommandRunner } from '../../src/host/command.ts';
import { FormerSysctls, parseFormer } from '../../src/host/formersysctls.ts';
import { removeState, ROUTEAGENT_STATE } from '../../src/host/statefolder.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../src/net/ownership.ts';
import type { NetworkPlan } from '../../src/net/plan.ts';
import { silentLogger } from '../../src/runtime/logger.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'former-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A kernel with these settings, as sysctl shows and changes them. */
function kernel(values: Map<string, string>): CommandRunner {
  return {
    run: async (file, args) => {
      expect(file).toBe('sysctl');
      if (args[0] === '-q') {
        const [key = '', value = ''] = (args[2] ?? '').split('=');
        values.set(key, value);
        return { exitCode: 0, stdout: '', stderr: '' };
      }
      const stdout = args.filter((key) => values.has(key)).map((key) => `${key} = ${values.get(key)}\n`);
      return { exitCode: 0, stdout: stdout.join(''), stderr: '' };
    },
  };
}

const FORWARD = 'net.ipv4.ip_forward';
const CNI = 'net.ipv4.conf.cni0.rp_filter';
const set = (key: string, from: string | undefined, value: string): NetworkPlan => [
  { action: 'setSysctl', sysctl: { key, value }, from },
];
const former = (): FormerSysctls => new FormerSysctls(path.join(root, 'state'), ROUTEAGENT_OWNERSHIP, silentLogger);

test('what was changed is put back, once, by another process', async () => {
  const values = new Map([
    [FORWARD, '1'],
    [CNI, '2'],
  ]);
  former().note([...set(FORWARD, '0', '1'), ...set(CNI, '1', '2')]);
  expect(await former().restore(kernel(values))).toEqual([`${FORWARD}=0`, `${CNI}=1`]);
  expect([...values.values()]).toEqual(['0', '1']);
  values.set(FORWARD, '1');
  expect(await former().restore(kernel(values))).toEqual([]);
  expect(values.get(FORWARD)).toBe('1');
});

test('what somebody has changed since is theirs', async () => {
  const values = new Map([[CNI, '0']]);
  former().note(set(CNI, '1', '2'));
  expect(await former().restore(kernel(values))).toEqual([]);
  expect(values.get(CNI)).toBe('0');
});

test('what somebody changed between two changes of ours is put back', async () => {
  const values = new Map([[CNI, '2']]);
  former().note(set(CNI, '1', '2'));
  former().note(set(CNI, '0', '2'));
  await former().restore(kernel(values));
  expect(values.get(CNI)).toBe('0');
});

test('own links and settings of unknown value are not kept', () => {
  former().note([...set('net.ipv4.conf.vx-submariner.rp_filter', '0', '2'), ...set(CNI, undefined, '2')]);
  expect(existsSync(path.join(root, 'state'))).toBe(false);
});

test('a folder that cannot be written and a damaged file harm nobody', async () => {
  writeFileSync(path.join(root, 'state'), 'a file');
  former().note(set(CNI, '1', '2'));
  rmSync(path.join(root, 'state'));
  mkdirSync(path.join(root, 'state'));
  writeFileSync(path.join(root, 'state/sysctls.json'), '{"net.ipv4.conf.x.rp_filter": {"before"');
  expect(await former().restore(kernel(new Map()))).toEqual([]);
  fc.assert(
    fc.property(fc.json(), (text) => {
      for (const [key, value] of parseFormer(text)) {
        expect(key).toMatch(/^net\./);
        expect(typeof value.before).toBe('string');
      }
    }),
  );
});

test('each daemon removes its part of the state folder, the last one the folder', () => {
  const state = path.join(root, 'state');
  for (const folder of [ROUTEAGENT_STATE, 'charon']) mkdirSync(path.join(state, folder), { recursive: true });
  writeFileSync(path.join(state, 'driver'), 'vxlan');
  removeState(state, (entry) => entry !== ROUTEAGENT_STATE);
  expect(existsSync(path.join(state, ROUTEAGENT_STATE))).toBe(true);
  expect(existsSync(path.join(state, 'charon'))).toBe(false);
  removeState(state, (entry) => entry === ROUTEAGENT_STATE);
  expect(existsSync(state)).toBe(false);
  removeState(state, () => true);
});
