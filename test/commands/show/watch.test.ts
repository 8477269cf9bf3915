import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { KubeObject } from '../../../src/kube/client.ts';
import { KubeConnectionError } from '../../../src/kube/errors.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { fit, Screen } from '../../../src/commands/show/screen.ts';
import { History, sparkline } from '../../../src/commands/show/sparkline.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { endpointSpec, Harness, type HarnessOptions } from '../harness.ts';

const NAMESPACE = 'submariner-operator';

/** What the gateway of east says at one look: a round-trip time, or trouble. */
type Look = { readonly rtt: string } | { readonly status: string; readonly message: string } | 'gone' | 'away';

function gateway(look: Exclude<Look, string>): KubeObject {
  const latencyRTT =
    'rtt' in look ? { last: look.rtt, min: '1ms', average: look.rtt, max: '9ms', stdDev: '0' } : undefined;
  const { status, message } = 'rtt' in look ? { status: 'connected', message: '' } : look;
  const connection = { status, statusMessage: message, endpoint: endpointSpec('west', '10.0.0.2'), latencyRTT };
  return {
    metadata: { name: 'east-1', namespace: NAMESPACE },
    status: {
      version: '1',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: endpointSpec('east', '10.0.0.1'),
      connections: [connection],
    },
  } as KubeObject;
}

/** A cluster that says something else at each look. */
function cluster(looks: readonly Look[]): FakeKube {
  const kube = new FakeKube([], 'https://east:6443');
  kube.seed(RESOURCES.submariners, {
    metadata: { name: 'submariner', namespace: NAMESPACE },
    spec: { clusterID: 'east' },
  } as KubeObject);
  let at = 0;
  kube.onCall = ({ verb, resource }) => {
    if (verb !== 'list' || resource !== 'gateways') return undefined;
    const look = looks[Math.min(at, looks.length - 1)]!;
    at += 1;
    kube.drop(RESOURCES.gateways, 'east-1', NAMESPACE);
    if (look === 'away') {
      const attempt = { server: 'https://east:6443', method: 'GET', path: '/' };
      return new KubeConnectionError(new Error('no answer'), attempt);
    }
    if (look !== 'gone') kube.seed(RESOURCES.gateways, gateway(look));
    return undefined;
  };
  return kube;
}

async function watch(looks: readonly Look[], args: readonly string[] = [], options: HarnessOptions = {}) {
  const harness = new Harness({ east: cluster(looks) }, options);
  const seconds = (looks.length - 1) * 2;
  const times = ['--watch', '--timeout', `${seconds}s`];
  return harness.run('show', 'connections', ...times, ...args);
}

describe('--watch without a terminal', () => {
  test('a line for each change, and none where nothing has', async () => {
    const trouble = { status: 'error', message: 'no answer' };
    const { stdout, exitCode } = await watch([{ rtt: '1ms' }, { rtt: '1ms' }, { rtt: '2ms' }, trouble, 'gone']);
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(
      lines.map((line) => line.replace(/^\S+ +/, '').replace(/(?:no +libreswan).*?(?=connected|error)/, '')),
    ).toEqual([
      'east   west-gw   west   10.0.0.2   connected   1ms',
      'east   west-gw   west   10.0.0.2   connected   2ms',
      'east   west-gw   west   10.0.0.2   error',
      'gone: east   west-gw   west   10.0.0.2   error',
    ]);
    expect(lines[0]).toMatch(/^2030-01-01T00:00:00Z {3}/);
    expect(lines[1]).toMatch(/^2030-01-01T00:00:04Z {3}/);
    expect(stdout).not.toContain('\u001B');
  });

  test('a cluster that cannot be reached is told, tried again, and no failure', async () => {
    const { stdout, exitCode } = await watch([{ rtt: '1ms' }, 'away', 'away', { rtt: '1ms' }]);
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[1]).toContain('context east: ');
    expect(lines[2]).toContain('gone: east');
    expect(lines[4]).toContain('gone: context east');
  });

  test('-o json: a line for each look, -o yaml: a document', async () => {
    const json = await watch([{ rtt: '1ms' }, { rtt: '1ms' }, 'gone'], ['-o', 'json']);
    const looks = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { items: unknown[]; time: string });
    expect(looks.map(({ items }) => items.length)).toEqual([1, 1, 0]);
    expect(looks[1]!.time).toBe('2030-01-01T00:00:02.000Z');
    const yaml = await watch([{ rtt: '1ms' }, 'gone'], ['-o', 'yaml']);
    expect(yaml.stdout.split('---\n')).toHaveLength(3);
  });

  test('-o name: names that come and go', async () => {
    const { stdout } = await watch([{ rtt: '1ms' }, { rtt: '2ms' }, 'gone'], ['-o', 'name']);
    expect(stdout).toBe(
      '2030-01-01T00:00:00Z   connection/west/west-gw\n2030-01-01T00:00:04Z   gone: connection/west/west-gw\n',
    );
  });

  test('all views say which view each line is of', async () => {
    const harness = new Harness({ east: cluster([{ rtt: '1ms' }]) });
    const { stdout } = await harness.run('show', 'all', '--watch', '--timeout', '1s');
    expect(stdout).toContain('east   connections   west-gw');
    expect(stdout).toContain('east   gateways   east-1');
  });

  test('an interval that would only be a burden is refused', async () => {
    const { exitCode, stderr } = await watch([{ rtt: '1ms' }], ['--interval', '10ms']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining('at least 200ms') });
  });
});

/** What a terminal shows after all that was written to it. */
function terminal(written: string): readonly string[] {
  const lines: string[] = [''];
  let at = 0;
  let column = 0;
  for (const [part] of written.matchAll(/\u001B\[[?\d]*[A-Za-z]|\r|\n|[^\u001B\r\n]+/g)) {
    const up = /^\u001B\[(\d+)A$/.exec(part);
    if (up !== null) at = Math.max(0, at - Number(up[1]));
    else if (part === '\n') at += 1;
    else if (part === '\u001B[J') lines.splice(at);
    else if (part === '\u001B[K') lines[at] = lines[at]!.slice(0, column);
    else if (part !== '\r' && !part.startsWith('\u001B[?')) {
      lines[at] = part + lines[at]!.slice(part.length);
      column = part.length;
      continue;
    }
    column = 0;
    while (lines.length <= at) lines.push('');
  }
  return lines;
}

describe('--watch on a terminal', () => {
  test('is redrawn in place, with the round-trip times so far', async () => {
    const looks: readonly Look[] = [
      { rtt: '1ms' },
      { rtt: '4ms' },
      { status: 'error', message: 'no answer of 10.0.0.2' },
      { rtt: '2ms' },
    ];
    const { stdout } = await watch(looks, [], { tty: true, env: { TERM: 'xterm' } });
    const shown = terminal(stdout);
    expect(shown[0]).toBe('2030-01-01T00:00:06Z');
    expect(shown.filter((line) => line.startsWith('Cluster'))).toEqual(['Cluster "east"']);
    expect(shown.slice(2, 4)).toEqual([
      'Cluster "east"',
      'CLUSTER   GATEWAY   CABLE DRIVER   STATUS      RTT now and before',
    ]);
    expect(shown[4]).toBe('west      west-gw   libreswan      connected     2.00 ms ▁█×▃');
    expect(stdout).toContain('no answer of 10.0.0.2');
    expect(shown.join('\n')).not.toContain('no answer');
    expect(stdout.endsWith('\u001B[?25h')).toBe(true);
  });

  test('with TERM=dumb nothing is redrawn', async () => {
    const { stdout } = await watch([{ rtt: '1ms' }, { rtt: '2ms' }], [], { tty: true, env: { TERM: 'dumb' } });
    expect(stdout).not.toContain('\u001B');
  });

  test('nothing is drawn outside of the terminal', () => {
    const text = fc.array(fc.string({ maxLength: 60 }), { maxLength: 40 }).map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(text, fc.integer({ min: 5, max: 40 }), fc.integer({ min: 3, max: 30 }), (drawn, columns, rows) => {
        const lines = fit(drawn, columns, rows);
        expect(lines.length).toBeLessThan(rows);
        expect(Math.max(...lines.slice(0, -1).map((line) => line.length), 0)).toBeLessThanOrEqual(columns);
      }),
    );
  });

  test('colours take no room, and end where a line is cut', () => {
    expect(fit('\u001B[31mabcdef\u001B[39m', 6, 5)).toEqual(['\u001B[31mabcdef\u001B[39m']);
    expect(fit('\u001B[31mabcdef\u001B[39mgh', 4, 5)).toEqual(['\u001B[31mabc\u001B[39m…\u001B[0m']);
  });

  test('what is drawn last is what is seen, however long it was before', () => {
    const texts = fc.array(fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 10 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(texts, (frames) => {
        let written = '';
        const screen = new Screen({ write: (more) => void (written += more), isTTY: true, columns: 80, rows: 24 });
        for (const frame of frames) screen.draw(frame.join('\n'));
        expect(terminal(written).slice(0, -1)).toEqual(frames.at(-1));
      }),
    );
  });
});

describe('show topology --watch', () => {
  async function topology(looks: readonly Look[], args: readonly string[] = [], options: HarnessOptions = {}) {
    const seconds = (looks.length - 1) * 2;
    const harness = new Harness({ east: cluster(looks) }, options);
    return harness.run('show', 'topology', '--watch', '--timeout', `${seconds}s`, ...args);
  }

  test('a line for each gateway and cable that has changed; round-trip times are no change', async () => {
    const trouble = { status: 'error', message: 'no answer' };
    // Gateways are read for the picture and for the connections.
    const { stdout, exitCode } = await topology([{ rtt: '1ms' }, { rtt: '2ms' }, trouble, trouble, 'gone', 'gone']);
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/^\S+ +/, ''))).toEqual([
      'gateway east/east-1   active',
      'cable east/east-gw west/west-gw   libreswan   connected',
      'cable east/east-gw west/west-gw   libreswan   error   east: no answer',
      'gone: gateway east/east-1   active',
      'gone: cable east/east-gw west/west-gw   libreswan   error   east: no answer',
    ]);
    expect(stdout).not.toContain('\u001B');
  });

  test('on a terminal the picture is redrawn in place', async () => {
    const trouble = { status: 'error', message: 'no answer' };
    const looks = [{ rtt: '1ms' }, { rtt: '1ms' }, trouble, trouble];
    const { stdout } = await topology(looks, [], { tty: true, env: { TERM: 'xterm', NO_COLOR: '1' } });
    const shown = terminal(stdout);
    expect(shown.filter((line) => line.includes('east/east-gw'))).toHaveLength(1);
    expect(shown.join('\n')).toContain('✗');
    expect(stdout.endsWith('\u001B[?25h')).toBe(true);
  });

  test('-o json: a line for each look', async () => {
    const { stdout } = await topology([{ rtt: '1ms' }, { rtt: '1ms' }, { rtt: '1ms' }], ['-o', 'json']);
    const looks = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { cables: unknown[]; time: string });
    expect(looks.map(({ time }) => time.slice(17, 19))).toEqual(['00', '02', '04']);
    expect(looks[0]!.cables).toHaveLength(1);
  });

  test('pictures cannot be watched', async () => {
    const { exitCode, stderr } = await topology([{ rtt: '1ms' }], ['-o', 'svg']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining('cannot show -o svg') });
  });
});

describe('sparklines', () => {
  test('higher for larger values, flat for what hardly changes, a cross for nothing', () => {
    expect(sparkline([1, 2, undefined, 8])).toBe('▁▂×█');
    expect(sparkline([1, 1.1, 1.05])).toBe('▁▁▁');
    expect(sparkline([0, 0])).toBe('▁▁');
    expect(sparkline([undefined])).toBe('×');
    expect(sparkline([])).toBe('');
  });

  test('one character a value, order kept', () => {
    const values = fc.array(fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }));
    fc.assert(
      fc.property(values, (list) => {
        const line = sparkline(list);
        expect(line).toHaveLength(list.length);
        for (const [i, a] of list.entries()) {
          for (const [j, b] of list.entries()) {
            if (a !== undefined && b !== undefined && a < b) expect(line[i]! <= line[j]!).toBe(true);
          }
        }
      }),
    );
  });

  test('history: one entry a look, also of what was not there', () => {
    const history = new History(3);
    history.note(new Map([['a', 1]]));
    history.note(new Map([['b', 2]]));
    history.note(new Map([['a', 3]]));
    expect([history.of('a'), history.of('b'), history.of('c')]).toEqual([[1, undefined, 3], [2, undefined], []]);
    history.note(new Map());
    expect(history.of('a')).toEqual([undefined, 3, undefined]);
  });
});
