import { describe, expect, test } from '@jest/globals';
import { parsePing, probePathMtu, sizesBetween } from '../../../src/host/prober/icmp.ts';
import type { CommandRunner } from '../../../src/host/command.ts';

describe('output of ping', () => {
  test('replies, and the last failure', () => {
    const output = `PING 10.1.1.1 (10.1.1.1) 56(84) bytes of data.
64 bytes from 10.1.1.1: icmp_seq=1 ttl=64 time=0.045 ms
64 bytes from 10.1.1.1: icmp_seq=2 ttl=64 time=1.25 ms
From 10.0.0.1 icmp_seq=3 Destination Host Unreachable`;
    expect(parsePing(output)).toEqual({
      replies: [0.045, 1.25],
      failure: 'Destination Host Unreachable (said 10.0.0.1)',
      toldBytes: null,
    });
  });

  test.each([
    ['ping: local error: message too long, mtu=1450', 1450],
    ['From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)', 1300],
    ['From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = 0)', null],
    ['', null],
  ])('%s says how much the path carries', (line, bytes) => {
    expect(parsePing(line).toldBytes).toBe(bytes);
  });
});

describe('search for the largest packet', () => {
  test.each([
    [576, 1500, 12],
    [10, 12, 12],
    [10, 11, 12],
  ])('sizes between %d and %d are inside, and few', (low, high, count) => {
    const sizes = sizesBetween(low, high, count);
    expect(sizes.length).toBeLessThanOrEqual(count);
    for (const size of sizes) expect(size > low && size < high).toBe(true);
  });

  /** A path that carries `limit` bytes, with routers that say so up to `told` bytes. */
  function path(limit: number, told?: number): CommandRunner {
    return {
      run: async (_file, args) => {
        const bytes = Number(args[args.indexOf('-s') + 1]) + 28;
        const stdout =
          bytes <= limit
            ? '64 bytes from 1.2.3.4: icmp_seq=1 ttl=64 time=1 ms'
            : told === undefined || bytes <= told
              ? ''
              : `From 1.1.1.1 icmp_seq=1 Frag needed and DF set (mtu = ${told})`;
        return { exitCode: 0, stdout, stderr: '' };
      },
    };
  }

  test.each([
    [9000, undefined, { largestBytes: 1500, toldBytes: null, blackHole: false }],
    [1400, 1400, { largestBytes: 1400, toldBytes: 1400, blackHole: false }],
    [1337, undefined, { largestBytes: 1337, toldBytes: null, blackHole: true }],
    [577, undefined, { largestBytes: 577, toldBytes: null, blackHole: true }],
    [1250, 1400, { largestBytes: 1250, toldBytes: 1400, blackHole: true }],
    [100, undefined, { largestBytes: null, toldBytes: null, blackHole: false }],
  ])('a path of %d bytes on which routers say %s', async (limit, told, report) => {
    expect(await probePathMtu(path(limit, told), { address: '1.2.3.4' }, 10, 1500)).toEqual({
      triedBytes: 1500,
      ...report,
    });
  });
});
