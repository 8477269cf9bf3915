import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  beatKey,
  decodeBeat,
  encodeBeat,
  encodeBody,
  type Beat,
  type BeatBody,
  type BeatHeader,
} from '../../../src/engine/ha/beat.ts';

const KEY = beatKey('secret');
const HEADER: BeatHeader = {
  session: 0xfedc_ba98_7654_3210n,
  heard: 7n,
  counter: 3,
  everyMs: 100,
  sentMs: 12.5,
  echoMs: Number.NaN,
  heldMs: 0,
};
const BODY: BeatBody = {
  clusterId: 'east',
  cableName: 'submariner-cable-east-172-31-0-11',
  to: 'submariner-cable-west-172-32-0-11',
  claims: { active: true, term: 4, ready: false, hears: ['a', 'b'], uses: new Map([['west', 'c']]) },
};
const datagram = encodeBeat(KEY, HEADER, encodeBody(BODY));

function read(bytes: Uint8Array, key = KEY): Beat | undefined {
  const beat = decodeBeat(key, bytes);
  return beat && { header: beat.header, body: beat.body };
}

const name = fc.string({ minLength: 1, maxLength: 40 });
const millis = fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e12 });
const headers: fc.Arbitrary<BeatHeader> = fc.record({
  session: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  heard: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  counter: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  everyMs: fc.integer({ min: 1, max: 65_535 }),
  sentMs: millis,
  echoMs: fc.oneof(millis, fc.constant(Number.NaN)),
  heldMs: fc.float({ noNaN: true, noDefaultInfinity: true, min: 0 }),
});
const bodies: fc.Arbitrary<BeatBody> = fc.record({
  clusterId: name,
  cableName: name,
  to: name,
  claims: fc.record({
    active: fc.boolean(),
    term: fc.nat(),
    ready: fc.boolean(),
    hears: fc.array(name),
    uses: fc.array(fc.tuple(name, name)).map((pairs) => new Map(pairs)),
  }),
});

describe('a beat', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(headers, bodies, (header, body) => {
        expect(read(encodeBeat(KEY, header, encodeBody(body)))).toEqual({ header, body });
      }),
    );
  });

  test('is small: fits any path without fragments in a set of a few clusters', () => {
    expect(datagram.length).toBeLessThan(300);
  });

  test('with any changed or missing byte is none', () => {
    fc.assert(
      fc.property(fc.nat(datagram.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(datagram);
        changed[at] = changed[at]! ^ flip;
        expect(read(changed)).toBeUndefined();
        expect(read(datagram.subarray(0, at))).toBeUndefined();
        expect(read(datagram.subarray(at + 1))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test('of another set is none', () => {
    expect(read(datagram, beatKey('other'))).toBeUndefined();
    expect(read(datagram, beatKey(''))).toBeUndefined();
  });

  test('has the same key everywhere, also without a pre-shared key', () => {
    const bytes = encodeBeat(beatKey(''), HEADER, encodeBody(BODY));
    expect(read(bytes, beatKey(''))).toEqual({ header: HEADER, body: BODY });
  });

  test('that is huge is none', () => {
    expect(read(encodeBeat(KEY, HEADER, Buffer.alloc(65_000, 0x20)))).toBeUndefined();
  });

  test('of another version is none', () => {
    const later = Buffer.from(encodeBeat(KEY, HEADER, encodeBody(BODY)));
    later.writeUInt16BE(2, 34);
    expect(read(later)).toBeUndefined();
  });

  test.each<[string, Partial<BeatHeader>]>([
    ['no session', { session: 0n }],
    ['no interval', { everyMs: 0 }],
    ['no time', { sentMs: Number.NaN }],
    ['a negative stay', { heldMs: -1 }],
  ])('with %s is none', (_, over) => {
    expect(read(encodeBeat(KEY, { ...HEADER, ...over }, encodeBody(BODY)))).toBeUndefined();
  });

  test('with any body from somebody who has the key never throws', () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
      fc
        .record({
          c: fc.jsonValue(),
          f: name,
          t: name,
          a: fc.jsonValue(),
          n: fc.jsonValue(),
          r: fc.boolean(),
          h: fc.jsonValue(),
          u: fc.jsonValue(),
        })
        .map((value) => Buffer.from(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(junk, (bytes) => {
        const beat = read(encodeBeat(KEY, HEADER, bytes));
        if (beat !== undefined) expect(read(encodeBeat(KEY, beat.header, encodeBody(beat.body)))).toEqual(beat);
      }),
      { numRuns: 500 },
    );
  });

  test('of random bytes never throws', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => expect(read(bytes)).toBeUndefined()));
  });

  test('with fields of a later release is read', () => {
    const bytes = Buffer.from(JSON.stringify({ ...(JSON.parse(encodeBody(BODY).toString()) as object), z: [1] }));
    expect(read(encodeBeat(KEY, HEADER, bytes))).toEqual({ header: HEADER, body: BODY });
  });

  test('with a body that is known is not parsed again', () => {
    const known = { bytes: encodeBody(BODY), body: { ...BODY } };
    expect(decodeBeat(KEY, datagram, (session) => (session === HEADER.session ? known : undefined))?.body).toBe(
      known.body,
    );
    expect(decodeBeat(KEY, datagram, () => ({ ...known, bytes: Buffer.from('{}') }))?.body).toEqual(BODY);
  });
});
