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
  readonly results: readonly string[];
  readonly seen: string;
}

/** The rows of both traffic tables in the output of the demo; columns are found by their headers. */
function trafficRows(output: string): readonly Row[] {
  const lines = output.split('\n');
  const headers = lines.flatMap((line, index) => (/^FROM +TO +TCP/.test(line) ? [index] : []));
  if (headers.length !== 2) throw new Error(`there are no two tables in:\n${output}`);
  return headers.flatMap((start) => {
    const header = lines[start]!;
    const columns = [...header.matchAll(/\S+(?: \S+)*/g)].map(({ index }) => index);
    const rest = lines.slice(start + 1);
    const cells = (line: string): readonly string[] =>
      columns.map((from, index) => line.slice(from, columns[index + 1]).trim());
    return rest.slice(0, rest.indexOf('')).map((line) => {
      const [from = '', to = '', tcp = '', udp = '', icmp = '', sizes = '', , seen = ''] = cells(line);
      return { from, to, results: [tcp, udp, icmp, sizes].filter((text) => text !== ''), seen };
    });
  });
}

/** What the tables have to prove, each direction; the node numbers do not matter. */
const EXPECTED = ['east west', 'west east'].flatMap((direction) => {
  const [a, b] = direction.split(' ');
  const kinds = ['non-gateway', 'gateway'];
  const sources = kinds.flatMap((kind) => [`pod on ${a} (${kind})`, `node ${a} (${kind})`]);
  const targets = kinds.flatMap((kind) => [`pod on ${b} (${kind})`, `Service of a pod on ${b} (${kind})`]);
  return sources.flatMap((source) => targets.map((target) => `${source} -> ${target}`));
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
      expect(rows).toHaveLength(32);
      for (const row of rows) {
        expect(row.results.length).toBeGreaterThan(1);
        expect(new Set(row.results)).toEqual(new Set(['ok']));
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
