import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Gateway } from '../../../src/api/types.ts';
import type { ConnectionItem } from '../../../src/commands/show/connections.ts';
import { renderDot } from '../../../src/commands/show/topology/dot.ts';
import { buildTopology, type ClusterReport, type Topology } from '../../../src/commands/show/topology/model.ts';
import { renderSvg } from '../../../src/commands/show/topology/svg.ts';
import { renderText } from '../../../src/commands/show/topology/text.ts';

const NOW = Date.UTC(2030, 0, 1);
const plain = (_health: string, text: string): string => text;

function gateway(node: string, haStatus: 'active' | 'passive', more: { readonly failure?: string } = {}): Gateway {
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: { name: node, namespace: 'x' },
    status: {
      version: '1',
      haStatus,
      statusFailure: more.failure ?? '',
      connections: [],
      localEndpoint: { hostname: node, private_ip: '10.0.0.1', public_ip: '' },
    },
  } as unknown as Gateway;
}

function connection(from: string, to: string, more: Partial<ConnectionItem> = {}): ConnectionItem {
  const rtt = { last: '1ms', min: '1ms', average: '1.5ms', max: '2ms', stdDev: '0' };
  return {
    cluster: from,
    gateway: `${from}-1`,
    remoteCluster: to,
    remoteGateway: `${to}-1`,
    remoteIP: '10.0.0.2',
    nat: false,
    cableDriver: 'wireguard',
    subnets: [],
    status: 'connected',
    message: '',
    rtt,
    ...more,
  };
}

function report(id: string, set: readonly string[], connections: readonly ConnectionItem[]): ClusterReport {
  return {
    clusterId: id,
    context: `ctx-${id}`,
    joined: true,
    nowMs: NOW,
    gateways: [gateway(`${id}-1`, 'active'), gateway(`${id}-2`, 'passive')],
    connections,
    known: set.map((clusterId) => ({
      cluster: id,
      clusterId,
      type: clusterId === id ? 'local' : 'remote',
      clusterCIDRs: ['10.130.0.0/16'],
      serviceCIDRs: ['100.66.0.0/16'],
      globalCIDRs: [],
    })),
  };
}

describe('the model', () => {
  test('a cable both ends tell of stands there once, as bad as the worse end says', () => {
    const set = ['east', 'west'];
    const { cables, clusters } = buildTopology([
      report('west', set, [
        connection('west', 'east', { status: 'error', message: 'no answer', rtt: null, nat: true }),
      ]),
      report('east', set, [connection('east', 'west')]),
    ]);
    expect(clusters.map(({ id, context }) => [id, context])).toEqual([
      ['east', 'ctx-east'],
      ['west', 'ctx-west'],
    ]);
    expect(cables).toEqual([
      {
        from: { cluster: 'east', gateway: 'east-1' },
        to: { cluster: 'west', gateway: 'west-1' },
        cableDriver: 'wireguard',
        nat: true,
        health: 'error',
        message: 'west: no answer',
        rttMs: 1.5,
      },
    ]);
  });

  test('pairs of which nobody tells a cable are missing one; clusters known from others only are there', () => {
    const set = ['east', 'north', 'west'];
    const { cables, clusters } = buildTopology([
      report('east', set, [connection('east', 'west')]),
      report('north', set, []),
    ]);
    expect(cables.map(({ from, to, health }) => `${from.cluster}-${to.cluster} ${health}`)).toEqual([
      'east-north missing',
      'east-west connected',
      'north-west missing',
    ]);
    expect(clusters.find(({ id }) => id === 'west')).toMatchObject({
      context: null,
      gateways: [{ node: 'west-1' }],
    });
  });

  test('a cluster that has not joined is missing nothing', () => {
    const lone = { ...report('east', [], []), joined: false, gateways: [] };
    expect(buildTopology([lone])).toMatchObject({ clusters: [{ id: 'east', joined: false }], cables: [] });
  });

  test('every pair of a full mesh has exactly one cable, whoever is asked', () => {
    const ids = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 2, maxLength: 6 });
    fc.assert(
      fc.property(ids, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (set, asked) => {
        const chosen = set.filter((_, index) => index === 0 || asked[index]);
        const reports = chosen.map((id) =>
          report(
            id,
            set,
            set.filter((other) => other !== id).map((other) => connection(id, other)),
          ),
        );
        const { cables, clusters } = buildTopology(reports);
        expect(clusters.map(({ id }) => id)).toEqual([...set].sort());
        const pairs = cables.map(({ from, to }) => [from.cluster, to.cluster].sort().join(' '));
        expect(new Set(pairs).size).toBe(pairs.length);
        const outside = set.length - chosen.length;
        expect(pairs).toHaveLength((set.length * (set.length - 1)) / 2 - (outside * (outside - 1)) / 2);
      }),
    );
  });
});

const SET = ['east', 'west'];
const HEALTHY = buildTopology([
  report('east', SET, [connection('east', 'west')]),
  report('west', SET, [connection('west', 'east')]),
]);
const BROKEN = buildTopology([
  report('east', SET, [connection('east', 'west', { status: 'error', message: 'no answer', rtt: null })]),
]);

describe('as text', () => {
  test('boxes side by side, and a line a cable', () => {
    expect(renderText(HEALTHY, 100, plain)).toBe(
      [
        '┌ east ───────────────────────┐   ┌ west ───────────────────────┐',
        '│ ● east-1  active   10.0.0.1 │   │ ● west-1  active   10.0.0.1 │',
        '│ ○ east-2  passive  10.0.0.1 │   │ ○ west-2  passive  10.0.0.1 │',
        '└─────────────────────────────┘   └─────────────────────────────┘',
        '',
        'east/east-1 ══ ✓ wireguard, 1.50 ms ══ west/west-1',
        '',
      ].join('\n'),
    );
  });

  test('one below the other where there is no room; trouble with its message', () => {
    const text = renderText(BROKEN, 40, plain);
    expect(text.split('\n').filter((line) => line.startsWith('┌'))).toHaveLength(2);
    expect(text).toContain('east/east-1 ── ✗ wireguard ── west/west-1   east: no answer');
  });

  test('all lines of the boxes are equally wide, whatever the names', () => {
    const name = fc.string({ minLength: 1, maxLength: 30, unit: 'grapheme-ascii' });
    fc.assert(
      fc.property(name, name, (a, b) => {
        const text = renderText(buildTopology([report(a, [a], []), report(b, [b], [])]), 200, plain);
        const boxes = text.split('\n').filter((line) => /^[┌│└]/.test(line));
        expect(new Set(boxes.map((line) => line.length)).size).toBe(1);
      }),
    );
  });
});

/** Names of elements that are opened and closed in turn; throws when the text is no XML of the simple kind we write. */
function readXml(text: string): readonly string[] {
  const body = text.replace(/^<\?xml [^>]*\?>\n/, '');
  const tags = [...body.matchAll(/<(?<close>\/?)(?<name>[a-z]+)(?: [a-zA-Z0-9-]+="[^"<]*")*(?<empty>\/?)>/g)];
  const rest = tags.reduce((left, [tag]) => left.replace(tag, ''), body);
  if (/[<>]|&(?!amp;|lt;|gt;|quot;|#39;)/.test(rest)) throw new Error(`not escaped: ${rest}`);
  const open: string[] = [];
  for (const { groups } of tags) {
    if (groups?.['close'] === '/') {
      if (open.pop() !== groups['name']) throw new Error(`closed ${groups['name']} out of turn`);
    } else if (groups?.['empty'] !== '/') open.push(groups?.['name'] ?? '');
  }
  if (open.length > 0) throw new Error(`still open: ${open.join(', ')}`);
  return tags.map(({ groups }) => groups?.['name'] ?? '');
}

function coordinates(svg: string, attribute: string): readonly number[] {
  return [...svg.matchAll(new RegExp(` ${attribute}="(-?[\\d.]+)"`, 'g'))].map(([, value]) => Number(value));
}

describe('as SVG', () => {
  test('says all there is to say, in colours', () => {
    const svg = renderSvg(BROKEN);
    for (const words of ['east', 'west', '● east-1', '○ east-2', 'stroke="#c62828"', 'east: no answer']) {
      expect(svg).toContain(words);
    }
    expect(renderSvg(HEALTHY)).toContain('wireguard, 1.50 ms');
    expect(renderSvg(HEALTHY)).not.toContain('#c62828');
    expect(renderSvg({ clusters: [], cables: [] })).toContain('0 clusters');
  });

  test('is XML whatever the names are, and everything is inside the picture', () => {
    const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
    const names = fc.uniqueArray(name, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(names, name, (set, message) => {
        const reports = set.map((id) =>
          report(
            id,
            set,
            set.filter((other) => other !== id).map((other) => connection(id, other, { status: 'error', message })),
          ),
        );
        const svg = renderSvg(buildTopology(reports));
        readXml(svg);
        const [, width = 0, height = 0] = (/viewBox="0 0 (\d+) (\d+)"/.exec(svg) ?? []).map(Number);
        for (const x of ['x', 'x1', 'x2'].flatMap((one) => coordinates(svg, one))) {
          expect(x).toBeGreaterThanOrEqual(0);
          expect(x).toBeLessThanOrEqual(width);
        }
        for (const y of ['y', 'y1', 'y2'].flatMap((one) => coordinates(svg, one))) {
          expect(y).toBeGreaterThanOrEqual(0);
          expect(y).toBeLessThanOrEqual(height);
        }
      }),
    );
  });

  test('boxes do not overlap', () => {
    const set = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const svg = renderSvg(buildTopology(set.map((id) => report(id, set, []))));
    const boxes = [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" rx="8"/g)].map(
      ([, ...numbers]) => numbers.map(Number),
    );
    expect(boxes).toHaveLength(8);
    for (const [index, [x = 0, y = 0, width = 0, height = 0]] of boxes.entries()) {
      for (const [x2 = 0, y2 = 0] of boxes.slice(index + 1)) {
        expect(Math.abs(x - x2) >= width || Math.abs(y - y2) >= height).toBe(true);
      }
    }
  });

  test('what is no XML would be found', () => {
    expect(() => readXml('<a>x & y</a>')).toThrow('not escaped');
    expect(() => readXml('<a><b></a></b>')).toThrow('out of turn');
    expect(() => readXml('<a>')).toThrow('still open');
  });
});

describe('in DOT', () => {
  test('a subgraph a cluster, an edge a cable', () => {
    const dot = renderDot(HEALTHY);
    expect(dot).toContain('subgraph "cluster_east" {');
    expect(dot).toContain('"east/east-1" [label="east-1\\nactive", color="#2e7d32"];');
    expect(dot).toContain('"east/east-1" -- "west/west-1" [label="wireguard, 1.50 ms", color="#2e7d32"');
  });

  test('quotes hold together whatever the names are', () => {
    const name = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
    fc.assert(
      fc.property(name, name, (a, b) => {
        const topology: Topology = buildTopology([report(a, [a, b], [connection(a, b)])]);
        const rest = renderDot(topology).replaceAll(/"(?:[^"\\\n]|\\.)*"/g, 'ID');
        expect(rest).not.toContain('"');
        expect(rest.split('{')).toHaveLength(rest.split('}').length);
      }),
    );
  });
});
