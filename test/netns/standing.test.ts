import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { runBatch, runLines } from '../../src/host/batch.ts';
import { createRunner, type CommandRunner } from '../../src/host/command.ts';
import { RecentLooks } from '../../src/host/recent.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { until } from './cable-testbed.ts';
import { Namespaces } from './namespaces.ts';

const spaces = new Namespaces();
const STAGE = `link add d0 type veth peer name p0
  link set d0 addrgenmode none
  link set p0 up
  addr add 10.1.0.1/24 dev d0
  link set d0 up
  link add v0 type vxlan id 100 dstport 4800 dev d0
  link set v0 up
  route add 10.2.0.0/16 via 10.1.0.2 table 150`;
/** Questions and changes, some of which are refused. */
const LINES = [
  'rule show',
  'route show table 150',
  'route show table 151',
  'addr show dev d0',
  'addr show dev nowhere',
  'netconf show',
  'route add 10.3.0.0/16 via 10.1.0.3 table 150',
  'route replace 10.3.0.0/16 via 10.1.0.4 table 150',
  'route del 10.3.0.0/16 table 150',
  'route add 10.4.0.0/16 dev nowhere table 150',
  'rule add pref 100 lookup 150',
  'rule del pref 100 lookup 150',
  'addr add 10.1.0.9/24 dev d0',
  'addr del 10.1.0.9/24 dev d0',
];
let plain: CommandRunner;
let recent: RecentLooks;
let standing: CommandRunner;

function stage(short: string): void {
  spaces.add(short);
  spaces.ip(short, STAGE);
}

/** The links' hardware addresses are of chance. */
const told = (text: string): string => text.replaceAll(/"[0-9a-f]{2}(?::[0-9a-f]{2}){5}"/g, '""');

let count = 0;
/** Two namespaces that are alike, a runner with processes of its own in one, one with a process that stays in the other. */
beforeEach(() => {
  count += 1;
  for (const short of [`a${count}`, `b${count}`]) stage(short);
  plain = spaces.runner(`a${count}`);
  recent = new RecentLooks({ maxAgeMs: 20_000 });
  recent.trust(true);
  standing = createRunner({ logger: silentLogger, namespace: spaces.name(`b${count}`), recent });
});
afterAll(() => spaces.remove());

const one = (runner: CommandRunner, line: string): ReturnType<typeof runLines> => runLines(runner, 'ip', [line], {});

describe('a process that stays', () => {
  test('gives what a process of its own gives, whatever was asked of it before', async () => {
    const lines = fc.array(fc.constantFrom(...LINES), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(lines, async (batch) => {
        const [own, kept] = await Promise.all([plain, standing].map((runner) => runLines(runner, 'ip', batch, {})));
        expect({ ...kept, stdout: told(kept!.stdout), stood: true }).toEqual({
          ...own,
          stdout: told(own!.stdout),
          stood: true,
        });
      }),
      { numRuns: 60, endOnFailure: true },
    );
    const [own, kept] = ['a', 'b'].map((name) =>
      spaces.sh(`${name}${count}`, 'ip rule; ip route show table 150; ip -br -4 addr'),
    );
    expect(kept).toBe(own);
  }, 60_000);

  test('answers questions that come at once each with its own, in their order', async () => {
    const answers = await Promise.all(
      ['route show table 150', 'rule show', 'addr show dev d0'].map((line) => one(standing, line)),
    );
    expect(answers.map(({ stdout }) => /10\.2\.0\.0|32766|"d0"/.exec(stdout)?.[0])).toEqual([
      '10.2.0.0',
      '32766',
      '"d0"',
    ]);
  });

  test('tells much: thousands of routes come whole', async () => {
    const routes = Array.from(
      { length: 4000 },
      (_, i) => `route add 10.${100 + (i >> 8)}.${i & 255}.0/24 via 10.1.0.2 table 150`,
    );
    expect((await runLines(standing, 'ip', routes, {})).stderr).toBe('');
    for (let round = 0; round < 3; round += 1) {
      const { stdout } = await one(standing, 'route show table 150');
      expect((JSON.parse(stdout) as readonly unknown[]).length).toBe(4001);
    }
  });

  test('serves as long as no link has changed, and while all changes are reported', async () => {
    expect((await one(standing, 'rule show')).stood).toBeUndefined();
    expect((await one(standing, 'rule show')).stood).toBe(true);
    recent.forget(['route', 'nft']);
    expect((await one(standing, 'rule show')).stood).toBe(true);
    recent.forget(['link']);
    expect((await one(standing, 'rule show')).stood).toBeUndefined();
    await standing.run('ip', ['link', 'set', 'dev', 'd0', 'mtu', '1400']);
    expect((await one(standing, 'rule show')).stood).toBeUndefined();
    expect((await one(standing, 'rule show')).stood).toBe(true);
    recent.trust(false);
    expect((await one(standing, 'rule show')).stood).toBeUndefined();
    expect((await one(standing, 'rule show')).stood).toBeUndefined();
  });

  test('does what is asked of it also when a link has become another one without a report', async () => {
    expect(await runBatch(standing, 'ip', [['route', 'add', '10.5.0.0/16', 'dev', 'd0', 'table', '150']])).toEqual([
      undefined,
    ]);
    spaces.ip(`b${count}`, 'link del v0\nlink del d0\nlink add d0 type bridge\nlink set d0 up');
    const lines = [
      ['route', 'add', '10.6.0.0/16', 'dev', 'd0', 'table', '150'],
      ['rule', 'add', 'pref', '100', 'lookup', '150'],
    ];
    expect(await runBatch(standing, 'ip', lines)).toEqual([undefined, undefined]);
    expect(spaces.sh(`b${count}`, 'ip route show table 150')).toBe('10.6.0.0/16 dev d0 scope link \n');
  });

  test('that breaks off takes its batch with it, and another one goes on', async () => {
    await one(standing, 'rule show');
    const lines = ['rule show', 'route add 10.7.0.0/16 nonsense', 'rule show'];
    const [own, kept] = await Promise.all(
      [plain, standing].map((runner) => runLines(runner, 'ip', lines, {}).catch((error: unknown) => error)),
    );
    expect(kept).toMatchObject({
      exitCode: (own as { exitCode: number }).exitCode,
      stderr: (own as { stderr: string }).stderr,
    });
    expect((await one(standing, 'rule show')).exitCode).toBe(0);
  });

  test('that was cancelled or killed is not waited for; the next batch has another one', async () => {
    await one(standing, 'rule show');
    const cancel = new AbortController();
    const cancelled = runLines(standing, 'ip', ['rule show'], { signal: cancel.signal });
    const after = one(standing, 'rule show');
    cancel.abort();
    await expect(cancelled).rejects.toThrow(/cancelled/);
    expect((await after).exitCode).toBe(0);
    expect((await one(standing, 'rule show')).stood).toBe(true);
    const pid = processes()[0]!;
    process.kill(pid, 'SIGKILL');
    await until('it is gone', () => !existsSync(`/proc/${pid}`));
    expect((await one(standing, 'rule show')).exitCode).toBe(0);
  });

  test('that is not there is named', async () => {
    const { PATH } = process.env;
    const missing = createRunner({ logger: silentLogger, recent });
    process.env['PATH'] = '/nonexistent';
    try {
      const lost = createRunner({ logger: silentLogger, recent });
      await expect(one(lost, 'rule show')).rejects.toThrow('program ip not found (Debian package iproute2)');
    } finally {
      process.env['PATH'] = PATH;
    }
    expect((await one(missing, 'rule show')).exitCode).toBe(0);
  });

  test.each([
    ['keeps no process from ending', ''],
    ['ends with a process that is killed', 'setInterval(() => {}, 1000);'],
  ])('%s', async (_, more) => {
    const script = `
      const { createRunner } = await import(${JSON.stringify(path.resolve('src/host/command.ts'))});
      const { RecentLooks } = await import(${JSON.stringify(path.resolve('src/host/recent.ts'))});
      const { runLines } = await import(${JSON.stringify(path.resolve('src/host/batch.ts'))});
      const { silentLogger } = await import(${JSON.stringify(path.resolve('src/runtime/logger.ts'))});
      const recent = new RecentLooks({ maxAgeMs: 20_000 });
      recent.trust(true);
      const runner = createRunner({ logger: silentLogger, recent });
      for (const round of [1, 2]) console.log((await runLines(runner, 'ip', ['rule show'], {})).stood ?? false);
      ${more}`;
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
    const ended = once(child, 'exit');
    await until('it has run two batches', () => said === 'false\ntrue\n');
    const kept = processes(child.pid);
    if (more !== '') {
      expect(kept).toHaveLength(1);
      child.kill('SIGKILL');
    }
    expect(await ended).toEqual(more === '' ? [0, null] : [null, 'SIGKILL']);
    await until('the process is gone', () => kept.every((pid) => !existsSync(`/proc/${pid}`)));
  });
});

/** The `ip` processes that a process has started. */
function processes(parent = process.pid): readonly number[] {
  const pids = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return pids.filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('-batch'));
}
