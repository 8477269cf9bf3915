import { expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { DelayLine } from '../../../src/sandbox/workloads/delay.ts';

async function settled(done: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!done()) {
    if (Date.now() > deadline) throw new Error('nothing came out');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('what is put in comes out in order, never early', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 12 }), async (pauses) => {
      const out: { readonly number: number; readonly tookMs: number }[] = [];
      const sent: number[] = [];
      const line = new DelayLine(5, (packet) => {
        const number = packet.readUInt8(0);
        out.push({ number, tookMs: performance.now() - sent[number]! });
      });
      for (const [number, pauseMs] of pauses.entries()) {
        const until = performance.now() + pauseMs;
        await settled(() => performance.now() >= until);
        sent.push(performance.now());
        line.put(Buffer.from([number]));
      }
      await settled(() => out.length === pauses.length);
      expect(out.map((one) => one.number)).toEqual(pauses.map((_, index) => index));
      for (const { tookMs } of out) expect(tookMs).toBeGreaterThanOrEqual(5);
      line.close();
    }),
    { numRuns: 20 },
  );
});

test('a closed line delivers nothing, a full one loses the newest', async () => {
  const out: Buffer[] = [];
  const closing = new DelayLine(1, (packet) => out.push(packet));
  closing.put(Buffer.from('x'));
  closing.close();
  const full = new DelayLine(1, (packet) => out.push(packet));
  const large = Buffer.alloc(40 * 1024 * 1024);
  full.put(large);
  full.put(large);
  full.put(Buffer.from('small'));
  await settled(() => out.length === 2);
  expect(out.map((one) => one.length)).toEqual([large.length, 5]);
  full.close();
});
