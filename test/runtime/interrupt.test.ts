import { EventEmitter } from 'node:events';
import { expect, test } from '@jest/globals';
import { Interruption } from '../../src/runtime/interrupt.ts';

class FakeProcess extends EventEmitter {
  readonly ended: number[] = [];
  exit(code: number): void {
    this.ended.push(code);
  }
}

test('nobody listens before a command wants to put things in order', () => {
  const source = new FakeProcess();
  const interruption = new Interruption(source);
  expect(source.eventNames()).toEqual([]);
  expect(interruption.signal()).toBe(interruption.signal());
  expect(source.listenerCount('SIGINT')).toBe(1);
  expect([interruption.signal().aborted, interruption.exitCode]).toEqual([false, undefined]);
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
])('%s aborts, the next one ends the process: exit code %d', (name, code) => {
  const source = new FakeProcess();
  const interruption = new Interruption(source);
  const signal = interruption.signal();
  source.emit(name);
  expect([signal.aborted, interruption.exitCode, source.ended]).toEqual([true, code, []]);
  source.emit(name);
  expect(source.ended).toEqual([code]);
});
