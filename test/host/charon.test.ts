import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { onlyLogsDiffer, renderCharonConf } from '../../src/host/charon-conf.ts';
import { lastTroubles, startProblem } from '../../src/host/charon-trouble.ts';
import { CommandError, type CommandRunner } from '../../src/host/command.ts';
import {
  daemonOutput,
  findDaemon,
  findProgram,
  readTail,
  startDaemon,
  stopDaemon,
  waitFor,
} from '../../src/host/daemon.ts';
import { probeKernelEsp } from '../../src/host/esp.ts';

describe('strongswan.conf', () => {
  const settings = {
    viciSocket: '/s/charon.vici',
    logFile: '/s/charon.log',
    udpPort: 4501,
    table: 221,
    retransmitTimeoutSeconds: 1.25,
    retransmitTries: 3,
    debug: false,
  };

  test('userland: kernel-libipsec before kernel-netlink, its packets marked, 16 threads', () => {
    const text = renderCharonConf({ ...settings, esp: 'userland' });
    expect(text).toMatch(/load = .*kernel-libipsec kernel-netlink /);
    expect(text).toContain('threads = 16');
    expect(text).toContain('fwmark = !0x42');
    expect(text).toContain('port_nat_t = 4501');
    expect(text).toContain('routing_table = 221');
    expect(Number(/routing_table_prio = (\d+)/.exec(text)?.[1])).toBeGreaterThan(32_767);
    expect(text.match(/\{/g)).toHaveLength(text.match(/\}/g)!.length);
  });

  test('kernel: no libipsec, no marks, no routes and no rule of charon’s own', () => {
    const text = renderCharonConf({ ...settings, esp: 'kernel' });
    expect(text).not.toMatch(/libipsec|fwmark/);
    expect(text).toContain('routing_table = 0');
    expect(text).toContain('install_routes = no');
  });
});

test('how much is logged changes without a new charon, anything else needs one', () => {
  const settings = {
    viciSocket: '/s',
    logFile: '/l',
    udpPort: 4500,
    table: 220,
    retransmitTimeoutSeconds: 1,
    retransmitTries: 3,
  };
  const quiet = renderCharonConf({ ...settings, esp: 'kernel', debug: false });
  const talkative = renderCharonConf({ ...settings, esp: 'kernel', debug: true });
  expect(talkative).toContain('      default = 2\n');
  expect(onlyLogsDiffer(quiet, talkative)).toBe(true);
  expect(onlyLogsDiffer(quiet, quiet)).toBe(false);
  expect(onlyLogsDiffer(quiet, renderCharonConf({ ...settings, esp: 'userland', debug: true }))).toBe(false);
});

test.each([
  ['00[NET] unable to bind socket: Address already in use', /port/],
  ["00[LIB] plugin 'kernel-libipsec': failed to load - no such file", /libcharon-extra-plugins/],
  ['00[LIB] failed to open /dev/net/tun: No such file or directory', /tun/],
  ['00[JOB] spawning 16 worker threads', undefined],
])('a log with %p', (log, problem) => {
  if (problem === undefined) expect(startProblem(log)).toBeUndefined();
  else expect(startProblem(log)).toMatch(problem);
});

test('troubles are told by connection, and forgotten when it is established', () => {
  const log = [
    '2026-01-01T00:00:00 15[IKE] <a|1> initiating IKE_SA a[1] to 198.18.0.2',
    '2026-01-01T00:00:00 03[IKE] <a|1> received AUTHENTICATION_FAILED notify error',
    '2026-01-01T00:00:01 03[IKE] <b|2> retransmit 1 of request with message ID 0',
    '2026-01-01T00:00:01 13[IKE] <1> no IKE config found for 198.18.0.2...198.18.0.1, sending NO_PROPOSAL_CHOSEN',
    '2026-01-01T00:00:02 03[IKE] <c|3> received NO_PROPOSAL_CHOSEN notify error',
    '2026-01-01T00:00:03 03[IKE] <c|4> IKE_SA c[4] established between 198.18.0.1[198.18.0.1]...198.18.0.2[198.18.0.2]',
  ].join('\n');
  expect([...lastTroubles(log)]).toEqual([
    ['a', 'authentication failed: the pre-shared keys of the clusters differ'],
    ['b', 'the peer does not answer'],
  ]);
});

describe('kernel ESP', () => {
  const runnerThat = (stderr: string | undefined, runs: string[]): CommandRunner => ({
    run: async (file, args) => {
      runs.push([file, ...args].join(' '));
      if (stderr !== undefined && args.includes('add'))
        throw new CommandError(file, args, { exitCode: 2, stdout: '', stderr });
      return { exitCode: 0, stdout: '', stderr: '' };
    },
  });

  test.each(['Error: Requested AEAD algorithm not found.', 'RTNETLINK answers: Protocol not supported'])(
    'is absent when the kernel says %p',
    async (stderr) => {
      const runs: string[] = [];
      expect(await probeKernelEsp(runnerThat(stderr, runs))).toEqual({ kernel: false, reason: stderr });
      expect(runs).toHaveLength(1);
    },
  );

  test('is not decided on when the kernel was not asked', async () => {
    const runner: CommandRunner = {
      run: async (file, args) => {
        throw new CommandError(file, args, { stdout: '', stderr: '' }, 'not finished after 10000 ms, killed');
      },
    };
    await expect(probeKernelEsp(runner)).rejects.toThrow('not finished');
  });

  test('is not used without xfrm links', async () => {
    const runs: string[] = [];
    const whole = runnerThat(undefined, runs);
    const runner: CommandRunner = {
      run: async (file, args) => {
        if (!args.includes('link')) return whole.run(file, args);
        throw new CommandError(file, args, { exitCode: 2, stdout: '', stderr: 'Error: Unknown device type.' });
      },
    };
    expect(await probeKernelEsp(runner)).toEqual({
      kernel: false,
      reason: 'it has ESP, but no xfrm links: Error: Unknown device type.',
    });
  });

  test.each([undefined, 'RTNETLINK answers: File exists'])(
    'is there when the answer is %p; the probe is removed',
    async (stderr) => {
      const runs: string[] = [];
      expect((await probeKernelEsp(runnerThat(stderr, runs))).kernel).toBe(true);
      expect(runs[1]).toBe('ip xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x5375626d');
      expect(runs[3]).toBe('ip link del submariner-esp');
    },
  );
});

describe('daemons', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'daemon-'));
  });

  afterEach(async () => {
    await stopDaemon(folder);
    rmSync(folder, { recursive: true });
  });

  const start = async (script: string) =>
    startDaemon({ file: 'sh', args: ['-c', script], env: { WORD: 'hello' }, folder });

  test('is found again by its record, has only the environment it was given, and is ended by id', async () => {
    const record = await start('env; exec sleep 600');
    expect(findDaemon(folder)).toEqual(record);
    expect(await waitFor(() => daemonOutput(folder).includes('WORD=hello'), 2000)).toBe(true);
    expect(daemonOutput(folder, 'daemon.out', 50)).not.toContain('HOME=');
    await stopDaemon(folder);
    expect(findDaemon(folder)).toBeUndefined();
    expect(await waitFor(() => !existsSync(`/proc/${record.pid}`), 2000)).toBe(true);
  });

  test('one that ignores SIGTERM is killed', async () => {
    const record = await start('trap "" TERM; echo ready; while :; do sleep 0.1; done');
    expect(await waitFor(() => daemonOutput(folder).includes('ready'), 2000)).toBe(true);
    await stopDaemon(folder);
    expect(await waitFor(() => !existsSync(`/proc/${record.pid}`), 2000)).toBe(true);
  }, 10_000);

  test('a record of a process id that is another process by now is nobody’s, and that process lives', async () => {
    writeFileSync(path.join(folder, 'daemon.json'), JSON.stringify({ pid: process.pid, startTime: '1' }));
    expect(findDaemon(folder)).toBeUndefined();
    await stopDaemon(folder);
    expect(() => readFileSync(path.join(folder, 'daemon.json'))).toThrow('ENOENT');
    writeFileSync(path.join(folder, 'daemon.json'), '{"pid": 1');
    expect(findDaemon(folder)).toBeUndefined();
  });

  test('a program that is not there is an error that names it', async () => {
    await expect(startDaemon({ file: '/nonexistent/x', args: [], env: {}, folder })).rejects.toThrow(
      'cannot start /nonexistent/x',
    );
    expect(findProgram('no-such-program')).toBeUndefined();
    expect(findProgram('sh')).toMatch(/\/sh$/);
  });

  test('the end of a long file begins with a whole line', () => {
    const file = path.join(folder, 'long');
    writeFileSync(file, Array.from({ length: 20_000 }, (_, index) => `line ${index}\n`).join(''));
    const tail = readTail(file);
    expect(tail).toMatch(/^line \d+\n/);
    expect(tail.endsWith('line 19999\n')).toBe(true);
    expect(tail.length).toBeLessThanOrEqual(64 * 1024);
    expect(readTail(path.join(folder, 'missing'))).toBe('');
  });
});
