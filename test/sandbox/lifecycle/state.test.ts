import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  checkName,
  listSandboxes,
  readState,
  requireState,
  sandboxFiles,
  sandboxRoot,
  writeState,
  type SandboxState,
} from '../../../src/sandbox/lifecycle/state.ts';
import { withLock } from '../../../src/sandbox/lifecycle/lock.ts';
import { identify, isAlive, signalProcess, startDaemon } from '../../../src/sandbox/processes.ts';

const STATE: SandboxState = {
  format: 1,
  options: {
    name: 'a',
    clusters: ['east'],
    nodes: 1,
    gateways: 1,
    wanLatencyMs: 0,
    controlPlane: 'embedded',
    runtime: 'process',
  },
  phase: 'up',
  createdAt: '2026-01-01T00:00:00Z',
  proxyPort: 1,
  processes: {},
};
let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'sbx-state-'));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('state', () => {
  test('stands where the environment says, else below the home directory', () => {
    expect(sandboxRoot({ SUBCTL_SANDBOX_DIR: '/x', HOME: '/home/u' })).toBe('/x');
    expect(sandboxRoot({ HOME: '/home/u' })).toBe('/home/u/.local/state/subctl/sandbox');
    expect(sandboxRoot({ HOME: '/home/u', XDG_STATE_HOME: '/s' })).toBe('/s/subctl/sandbox');
  });

  test('is read as it was written and leaves no other file behind', () => {
    const files = sandboxFiles(root, 'a');
    expect(readState(files)).toBeUndefined();
    writeState(files, STATE);
    expect(readState(files)).toEqual(STATE);
    expect(readdirSync(files.dir)).toEqual(['state.json']);
    expect(listSandboxes(root)).toEqual(['a']);
  });

  test('a damaged one is reported with the way out', () => {
    const files = sandboxFiles(root, 'a');
    writeState(files, STATE);
    writeFileSync(files.state, '{"format":');
    expect(() => readState(files)).toThrow(expect.objectContaining({ hint: expect.stringContaining('sandbox down') }));
  });

  test('commands that need a sandbox say how to get one', () => {
    const files = sandboxFiles(root, 'a');
    expect(() => requireState(files, 'a')).toThrow('no sandbox named a is up');
    writeState(files, { ...STATE, phase: 'starting' });
    expect(() => requireState(files, 'a')).toThrow('half up');
  });

  test('names that cannot be part of a file name or namespace are refused', () => {
    expect(checkName('demo-2')).toBe('demo-2');
    for (const name of ['', '../x', 'A', 'x'.repeat(17), '-a', 'a/b'])
      expect(() => checkName(name)).toThrow('cannot name');
  });
});

describe('lock', () => {
  test('lets one in at a time and the next afterwards', async () => {
    const lock = sandboxFiles(root, 'a').lock;
    await withLock(lock, async () => {
      await expect(withLock(lock, async () => 'second')).rejects.toThrow('another subctl');
    });
    expect(await withLock(lock, async () => 'third')).toBe('third');
    expect(readdirSync(root)).toEqual([]);
  });

  test('one left by a dead process does not count', async () => {
    const lock = sandboxFiles(root, 'a').lock;
    writeFileSync(lock, JSON.stringify({ pid: process.pid, startTime: '1' }));
    expect(await withLock(lock, async () => 'mine')).toBe('mine');
  });
});

describe('processes', () => {
  test('are told apart by their start time', () => {
    const me = identify(process.pid);
    expect(me !== undefined && isAlive(me)).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: '1' })).toBe(false);
    expect(signalProcess({ pid: process.pid, startTime: '1' }, 'SIGKILL')).toBe(false);
  });

  test('outlive nobody who was told to end them', async () => {
    const logFile = path.join(root, 'log');
    const child = await startDaemon({
      file: process.execPath,
      args: ['-e', 'setInterval(() => {}, 1000)'],
      logFile,
      env: {},
    });
    expect(isAlive(child)).toBe(true);
    expect(signalProcess(child, 'SIGKILL')).toBe(true);
    for (const end = Date.now() + 5000; isAlive(child) && Date.now() < end;)
      await new Promise((resolve) => setImmediate(resolve));
    expect(isAlive(child)).toBe(false);
  });

  test('that cannot be started are reported', async () => {
    await expect(
      startDaemon({ file: '/nonexistent', args: [], logFile: path.join(root, 'log'), env: {} }),
    ).rejects.toThrow('ENOENT');
  });
});
