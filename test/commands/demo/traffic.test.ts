import { describe, expect, test } from '@jest/globals';
import {
  judge,
  parseProbeOutput,
  planTraffic,
  uncoveredPlaces,
  type ClusterPlace,
} from '../../../src/commands/demo/traffic.ts';

function cluster(name: string, number: number): ClusterPlace {
  const nodes = [1, 2, 3].map((index) => ({
    name: `${name}-${index}`,
    gateway: index === 1,
    podNetworkAddress: `10.${number}.${index}.1`,
  }));
  return {
    name,
    nodes,
    echo: nodes.map((node, index) => ({
      name: `echo-${index}`,
      address: `10.${number}.${index + 1}.2`,
      node: node.name,
    })),
    client: { name: 'client', address: `10.${number}.3.9`, node: `${name}-3` },
    serviceAddress: `100.${number}.0.10`,
    port: 8080,
  };
}

const crossings = planTraffic(cluster('east', 130), cluster('west', 131));

describe('traffic table', () => {
  test('covers pods, Services and nodes, from and to both kinds of nodes, each direction', () => {
    expect(crossings.map(({ source, url }) => `${source.cluster} ${source.target} ${url}`)).toEqual([
      'east pod/client http://10.131.2.2:8080/',
      'east pod/client http://10.131.1.2:8080/',
      'east pod/client http://100.131.0.10:8080/',
      'east east-2 http://10.131.2.2:8080/',
      'east east-2 http://10.131.1.2:8080/',
      'east pod/echo-0 http://10.131.2.2:8080/',
      'east pod/echo-0 http://10.131.1.2:8080/',
      'east pod/echo-0 http://100.131.0.10:8080/',
      'east east-1 http://10.131.2.2:8080/',
      'east east-1 http://10.131.1.2:8080/',
      'west pod/client http://10.130.2.2:8080/',
      'west pod/client http://10.130.1.2:8080/',
      'west pod/client http://100.130.0.10:8080/',
      'west west-2 http://10.130.2.2:8080/',
      'west west-2 http://10.130.1.2:8080/',
      'west pod/echo-0 http://10.130.2.2:8080/',
      'west pod/echo-0 http://10.130.1.2:8080/',
      'west pod/echo-0 http://100.130.0.10:8080/',
      'west west-1 http://10.130.2.2:8080/',
      'west west-1 http://10.130.1.2:8080/',
    ]);
  });

  test('a row is good only when the server saw the address the packet started with', () => {
    const [crossing] = crossings;
    if (crossing === undefined) throw new Error('no rows');
    const answer = { url: crossing.url, ok: true, clientIP: '10.130.3.9', rttMs: 0.4321 };
    expect(judge(crossing, answer)).toMatchObject({ good: true, result: 'ok', rtt: '0.4 ms', expected: '10.130.3.9' });
    expect(judge(crossing, { ...answer, clientIP: '172.31.0.11' })).toMatchObject({
      good: false,
      result: 'wrong source',
      seen: '172.31.0.11',
    });
    expect(judge(crossing, { url: crossing.url, ok: false, error: 'connect EHOSTUNREACH' })).toMatchObject({
      good: false,
      result: 'connect EHOSTUNREACH',
    });
    expect(judge(crossing, undefined)).toMatchObject({ good: false, result: 'not tried' });
  });

  test('a cluster whose nodes are all gateways has only such rows', () => {
    const small = cluster('small', 132);
    const only = {
      ...small,
      nodes: small.nodes.slice(0, 1),
      echo: small.echo.slice(0, 1),
      client: { ...small.client, node: 'small-1' },
    };
    expect(planTraffic(only, only).every(({ source }) => source.label.includes('(gateway)'))).toBe(true);
    expect(planTraffic(only, only)).toHaveLength(6);
  });

  test('a hole in the table is named', () => {
    const whole = cluster('east', 130);
    expect(uncoveredPlaces(whole)).toEqual([]);
    expect(uncoveredPlaces({ ...whole, echo: whole.echo.slice(1) })).toEqual([
      'no pod echo runs on a gateway node of east',
    ]);
    expect(uncoveredPlaces({ ...whole, echo: [] })).toHaveLength(2);
  });

  test('reads the lines of the probe and nothing else', () => {
    expect(parseProbeOutput('warning\n{"url":"http://x/","ok":true}\nnull\n{"a":1}\n{"url":')).toEqual([
      { url: 'http://x/', ok: true },
    ]);
  });
});
