import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDatagram, parseReports, renderDatagram, UDP_HEADER_BYTES } from '../../../src/host/prober/protocol.ts';

test('a datagram is read as it was written, and is as long as asked for', () => {
  const session = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex'));
  fc.assert(
    fc.property(session, fc.nat(0xffff_ffff), fc.integer({ min: 28, max: 9000 }), (id, number, bytes) => {
      const datagram = renderDatagram(id, number, bytes);
      expect(datagram.length).toBe(Math.max(bytes - 28, UDP_HEADER_BYTES));
      expect(parseDatagram(datagram)).toEqual({ session: id, number });
    }),
  );
});

test('what is no datagram of a prober is nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes);
      expect(parseDatagram(text) === undefined || text.subarray(0, 4).toString() === 'SBPR').toBe(true);
    }),
  );
});

test('reports are read from lines, others left out', () => {
  expect(parseReports('{"id":"a"}\nnonsense\n{"x":1}\nnull\n{"id":"b"}')).toEqual([{ id: 'a' }, { id: 'b' }]);
});
