import { describe, expect, test } from '@jest/globals';
import { EventEmitter } from 'node:events';
import { ExpectedError, UsageError } from '../../src/runtime/errors.ts';
import { runDaemon, type DaemonMain, type HostProcess } from '../../src/runtime/process.ts';
import { settle } from '../fakes/clock.ts';

function setUp(env: Record<string, string> = {}) {
  const events = new EventEmitter();
  const codes: number[] = [];
  let log = '';
  const host: HostProcess = {
    env,
    on: (event, listener) => events.on(event, listener),
    off: (event, listener) => events.off(event, listener),
    writeError: (text) => void (log += text),
    exit: (code) => void codes.push(code),
  };
  return { events, codes, host, log: () => log };
}

const untilAborted: DaemonMain = (signal) =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

describe('runDaemon', () => {
  test.each(['SIGTERM', 'SIGINT'])('%s stops it with exit code 0 and all listeners are gone', async (name) => {
    const { events, codes, host, log } = setUp();
    const done = runDaemon(untilAborted, host);
    await settle();
    events.emit(name);
    await done;
    expect(codes).toEqual([0]);
    expect(events.eventNames()).toEqual([]);
    expect(log()).toContain(`INFO  stopping signal=${name}`);
  });

  test('a second signal leaves at once', async () => {
    const { events, codes, host } = setUp();
    let finish: () => void = () => undefined;
    const done = runDaemon(() => new Promise((resolve) => (finish = resolve)), host);
    events.emit('SIGTERM');
    expect(codes).toEqual([]);
    events.emit('SIGTERM');
    expect(codes).toEqual([143]);
    finish();
    await done;
  });

  test.each([
    [new ExpectedError('no rights', { hint: 'ask' }), 1, 'ERROR "no rights" hint=ask'],
    [new UsageError('bad env'), 2, 'bad env'],
    [new TypeError('oops'), 70, 'TypeError: oops'],
  ])('%s ends it with its code', async (error, code, text) => {
    const { codes, host, log } = setUp();
    const main: DaemonMain = async () => {
      throw error;
    };
    await runDaemon(main, host);
    expect(codes).toEqual([code]);
    expect(log().replace('ERROR no rights', 'ERROR "no rights"')).toContain(text);
  });

  test('an unhandled rejection is a bug: logged, exit code 70', async () => {
    const { events, codes, host, log } = setUp({ LOG_FORMAT: 'json' });
    void runDaemon(untilAborted, host);
    events.emit('unhandledRejection', new Error('lost'));
    expect(codes).toEqual([70]);
    expect(JSON.parse(log())).toMatchObject({ level: 'error', error: expect.stringContaining('lost') });
  });

  test('main gets the environment and a logger of the level the environment names', async () => {
    const { host, log } = setUp({ LOG_LEVEL: 'debug', X: 'y' });
    await runDaemon(async (_signal, logger, env) => logger.debug('hello', { x: env['X'] }), host);
    expect(log()).toContain('DEBUG hello x=y');
  });
});
