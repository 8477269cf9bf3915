import { describe, expect, test } from '@jest/globals';
import { routeAgentMetrics } from '../../../src/routeagent/telemetry/metrics.ts';
import { routeAgentState, type RouteAgentSight } from '../../../src/routeagent/telemetry/state.ts';
import { routeAgentTelemetry } from '../../../src/routeagent/telemetry/telemetry.ts';
import { renderMetrics } from '../../../src/runtime/metrics.ts';
import { eastHost, stage } from '../stage.ts';

const SIGNAL = new AbortController().signal;
const STARTED = Date.UTC(2030, 0, 1);

function look(k: number) {
  const host = eastHost(k);
  const { daemon, endpoints, nodes } = stage(host, k);
  const sight: RouteAgentSight = {
    config: {
      clusterId: 'east',
      nodeName: `east-${k}`,
      namespace: 'submariner-operator',
      version: '1.2.3',
      podCidrs: [],
      serviceCidrs: [],
      healthCheck: { enabled: true, intervalMs: 1000, maxLosses: 3 },
    },
    endpoints,
    nodes,
    runner: host,
    view: () => daemon.view,
    startedAtMs: STARTED,
    now: () => STARTED + 1000,
  };
  return { host, daemon, endpoints, sight };
}

describe('state of a route agent', () => {
  test('before the first look it knows nothing and is not ready', async () => {
    const { sight, endpoints } = look(2);
    endpoints.synced = false;
    endpoints.problem = 'connection refused';
    const state = await routeAgentState(sight, SIGNAL);
    expect(state).toMatchObject({
      daemon: 'routeagent',
      node: 'east-2',
      time: '2030-01-01T00:00:01.000Z',
      unready: ['the endpoints of the cluster are not known yet: connection refused'],
      plan: null,
      pending: null,
      inputs: { role: null, host: null, remotes: [] },
      desired: { network: null },
    });
  });

  test('after a look: inputs, what is wanted, what is there, the last plan', async () => {
    const { sight, daemon } = look(2);
    const plan = await daemon.reconcile(SIGNAL);
    const state = await routeAgentState(sight, SIGNAL);
    expect(state.unready).toEqual([]);
    expect(state.problems).toEqual([]);
    expect(state.pending).toEqual([]);
    expect(state.plan?.steps.length).toBeGreaterThanOrEqual(plan.length);
    expect(state.caches).toEqual([
      { resource: 'endpoints', synced: true, objects: 2, problem: null },
      { resource: 'nodes', synced: true, objects: 3, problem: null },
    ]);
    expect(state.inputs).toMatchObject({
      role: 'worker',
      gatewayAddress: '172.31.0.11',
      host: { underlay: { link: 'eth0', address: '172.31.0.12' }, cni: { link: 'cni0', address: '10.130.2.1' } },
      remoteCidrs: ['10.131.0.0/16', '100.67.0.0/16'],
    });
    expect(state.inputs.remotes).toMatchObject([{ spec: { cluster_id: 'west' }, refusal: null, probe: null }]);
    expect(state.observed.network?.routes).toEqual(
      expect.arrayContaining([expect.objectContaining({ destination: '10.131.0.0/16', link: 'vx-submariner' })]),
    );
    expect(state.observed.nft).toContain('table inet submariner-routeagent');
    expect(state.observed.node?.links.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['eth0', 'cni0', 'vx-submariner']),
    );
    expect(state.observed.node?.routes).toEqual(
      expect.arrayContaining([expect.objectContaining({ destination: '10.78.0.0/16', table: 99 })]),
    );
  });

  test('what somebody took away is pending; what cannot be read is a problem', async () => {
    const { sight, daemon, host } = look(2);
    await daemon.reconcile(SIGNAL);
    host.do('ip route del 10.131.0.0/16 table 254');
    expect((await routeAgentState(sight, SIGNAL)).pending).toEqual([
      expect.stringMatching(/^\+ route 10\.131\.0\.0\/16 via 240\.31\.0\.11 dev vx-submariner .*table 254$/),
    ]);
    const blind = { ...sight, runner: { run: async () => Promise.reject(new Error('no such program')) } };
    const state = await routeAgentState(blind, SIGNAL);
    expect(state.observed).toEqual({ network: null, nft: '', node: null });
    expect(state.pending).toBeNull();
    expect(state.problems).toEqual([
      'own links, routes and rules: no such program',
      'nft table submariner-routeagent: no such program',
      'network of the node: no such program',
    ]);
  });
});

describe('metrics of a route agent', () => {
  test('role, remote clusters and what every daemon counts', async () => {
    const { sight, daemon } = look(2);
    await daemon.reconcile(SIGNAL);
    const text = renderMetrics(await routeAgentTelemetry(sight).metrics(SIGNAL));
    const here = 'local_cluster="east",local_hostname="east-2"';
    for (const line of [
      `submariner_routeagent_role{${here},role="worker"} 1`,
      `submariner_routeagent_role{${here},role="gateway"} 0`,
      `submariner_routeagent_connections{${here},remote_cluster="west",remote_hostname="west-1",status="none"} 1`,
      `submariner_routeagent_failing{${here}} 0`,
      'submariner_ready 1',
      'submariner_cache_synced{resource="nodes"} 1',
      'submariner_build_info{version="1.2.3"} 1',
      'submariner_link_up{link="vx-submariner"} 1',
    ])
      expect(text).toContain(`\n${line}\n`);
  });

  test('a probe gives status and latency, a refusal an error', () => {
    const latency = { last: '2ms', min: '2ms', average: '2ms', max: '2ms', stdDev: '0s' };
    const spec = { cluster_id: 'west', hostname: 'west-1' };
    const gathered = { inputs: { gateway: { role: 'gateway' } }, problems: ['x'] };
    const remotes = [
      { spec, cidrs: [], refusal: undefined },
      { spec: { ...spec, cluster_id: 'north' }, cidrs: [], refusal: 'overlap' },
    ];
    const view = {
      gathered: { ...gathered, remotes },
      failure: undefined,
      applied: undefined,
      loops: [],
      verdict: (id: string) => (id === 'west' ? { status: 'connected', message: '', latency } : undefined),
    } as unknown as Parameters<typeof routeAgentMetrics>[1];
    const text = renderMetrics(routeAgentMetrics({ clusterId: 'east', nodeName: 'n' }, view));
    expect(text).toMatch(/connections\{.*remote_cluster="west".*status="connected"\} 1/);
    expect(text).toMatch(/connections\{.*remote_cluster="north".*status="error"\} 1/);
    expect(text).toMatch(/latency_seconds\{.*remote_cluster="west".*\} 0\.002/);
    expect(text).toMatch(/failing\{.*\} 1/);
  });
});
