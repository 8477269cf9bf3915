import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createPingWatcher, lineReader, parsePingLine, pingWords } from '../../src/host/ping.ts';
import { silentLogger } from '../../src/runtime/logger.ts';

describe('the lines of ping', () => {
  test.each([
    ['64 bytes from 10.130.1.1: icmp_seq=1 ttl=64 time=0.092 ms', { rttMs: 0.092 }],
    ['64 bytes from 10.130.1.1: icmp_seq=12 ttl=62 time=794 ms', { rttMs: 794 }],
    ['64 bytes from fd00::1: icmp_seq=1 ttl=64 time=1.5 ms', { rttMs: 1.5 }],
    [
      'From 172.31.0.1 icmp_seq=1 Destination Host Unreachable',
      { failure: 'Destination Host Unreachable (said 172.31.0.1)' },
    ],
    ['ping: connect: Network is unreachable', { failure: 'connect: Network is unreachable' }],
    ['ping: sendmsg: Operation not permitted', { failure: 'sendmsg: Operation not permitted' }],
    ['env: ‘ping’: No such file or directory', { failure: 'the program ping is not there; install iputils-ping' }],
    ["env: 'ping': No such file or directory", { failure: 'the program ping is not there; install iputils-ping' }],
    ['PING 10.130.1.1 (10.130.1.1) 56(84) bytes of data.', undefined],
    ['--- 10.130.1.1 ping statistics ---', undefined],
    ['rtt min/avg/max/mdev = 0.092/0.095/0.098/0.003 ms', undefined],
    ['', undefined],
  ])('%s', (line, expected) => {
    expect(parsePingLine(line)).toEqual(expected);
  });

  test('junk never throws', () => {
    fc.assert(fc.property(fc.string(), (line) => void parsePingLine(line)));
  });

  test('come out whole however they were cut', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z ]{0,20}$/)), fc.nat(7), (lines, size) => {
        const text = lines.map((line) => `${line}\n`).join('');
        const seen: string[] = [];
        const read = lineReader((line) => seen.push(line));
        for (let at = 0; at < text.length; at += size + 1) read(text.slice(at, at + size + 1));
        expect(seen).toEqual(lines.map((line) => line.trimEnd()));
      }),
    );
  });
});

test('the command', () => {
  expect(pingWords({ address: '10.130.1.1', intervalMs: 200, source: '10.131.1.1' })).toEqual([
    '-n',
    '-i',
    '0.2',
    '-I',
    '10.131.1.1',
    '10.130.1.1',
  ]);
});

describe('a watch', () => {
  test('of an address that answers gives round-trip times until it is aborted', async () => {
    const stop = new AbortController();
    const times: number[] = [];
    const listener = {
      onReply: (ms: number) => {
        times.push(ms);
        if (times.length === 3) stop.abort();
      },
      onFailure: (reason: string) => stop.abort(new Error(reason)),
    };
    await createPingWatcher({ logger: silentLogger })({ address: '127.0.0.1', intervalMs: 100 }, listener, stop.signal);
    expect(times).toHaveLength(3);
    expect(Math.min(...times)).toBeGreaterThan(0);
  });

  test('says why nothing can be sent, and goes on trying', async () => {
    const stop = new AbortController();
    const reasons: string[] = [];
    const listener = {
      onReply: () => stop.abort(),
      onFailure: (reason: string) => {
        reasons.push(reason);
        if (reasons.length === 2) stop.abort();
      },
    };
    const target = { address: '127.0.0.1', intervalMs: 50, source: '203.0.113.77' };
    await createPingWatcher({ logger: silentLogger })(target, listener, stop.signal);
    expect(reasons).toHaveLength(2);
    expect(reasons[0]).toMatch(/bind|assign/);
  });
});
