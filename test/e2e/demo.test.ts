import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestSandbox, finished } from './subctl.ts';

let sandbox: TestSandbox;

beforeEach(() => {
  sandbox = new TestSandbox();
});

afterEach(() => sandbox.dispose());

interface Row {
  readonly from: string;
  readonly to: string;
  readonly result: string;
  readonly seen: string;
  readonly expected: string;
  readonly rtt: string;
}

/** The rows of the traffic table in the output of the demo. */
function trafficRows(output: string): readonly Row[] {
  const lines = output.split('\n');
  const start = lines.findIndex((line) => /^FROM +TO +RESULT/.test(line));
  if (start === -1) throw new Error(`there is no table in:\n${output}`);
  const table = lines.slice(start + 1);
  const end = table.indexOf('');
  return table.slice(0, end === -1 ? undefined : end).map((line) => {
    const [from = '', to = '', result = '', seen = '', expected = '', rtt = ''] = line.split(/ {2,}/);
    return { from, to, result, seen, expected, rtt };
  });
}

/** What the table has to prove, each direction: [from, to]; the node numbers do not matter. */
const EXPECTED = ['east west', 'west east'].flatMap((direction) => {
  const [a, b] = direction.split(' ');
  const rows: string[] = [];
  for (const kind of ['non-gateway', 'gateway']) {
    for (const source of ['pod on', 'node']) {
      for (const target of ['non-gateway', 'gateway']) rows.push(`${source} ${a} (${kind}) -> pod on ${b} (${target})`);
      if (source === 'pod on') rows.push(`${source} ${a} (${kind}) -> Service echo of ${b}`);
    }
  }
  return rows;
});

describe('the demo', () => {
  test.each(['vxlan', 'ipsec', 'wireguard'])(
    'with %s carries every kind of traffic and leaves nothing behind',
    async (driver) => {
      const { code, stdout, stderr } = await sandbox.run('demo', '--name', sandbox.name, '--cable-driver', driver);
      expect({ code, trouble: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, trouble: '' });
      const rows = trafficRows(stdout);
      const names = rows.map(({ from, to }) => `${from} -> ${to}`.replaceAll(/(east|west)-\d+/g, '$1'));
      expect(new Set(names)).toEqual(new Set(EXPECTED));
      expect(rows).toHaveLength(20);
      for (const row of rows) {
        expect(row).toMatchObject({ result: 'ok', seen: row.expected, rtt: expect.stringMatching(/^\d+\.\d ms$/) });
        expect(row.seen).toMatch(row.from.includes('east') ? /^10\.130\./ : /^10\.131\./);
      }
      const backend = driver === 'ipsec' ? 'libreswan' : driver;
      expect(stdout.match(new RegExp(`${backend} .*connected`, 'g'))).toHaveLength(2);
      expect(sandbox.remains()).toEqual([]);
    },
    180_000,
  );

  test('removes everything when it is interrupted', async () => {
    const child = sandbox.start(['demo', '--name', sandbox.name, '--cable-driver', 'vxlan']);
    const end = finished(child);
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('Workloads')) resolve();
      });
    });
    child.kill('SIGINT');
    const { code, stderr } = await end;
    expect(stderr).toContain('interrupted');
    expect(stderr).toContain(`subctl sandbox down --name ${sandbox.name}`);
    expect(code).not.toBe(0);
    expect(sandbox.remains()).toEqual([]);
  }, 60_000);
});
