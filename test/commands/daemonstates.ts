import type { EngineDaemonState, RouteAgentDaemonState } from '../../src/api/daemonstate.ts';

const BASE = {
  cluster: 'east',
  version: '9.8.7',
  time: '2030-01-01T00:00:00.000Z',
  startedAt: '2029-12-31T23:00:00.000Z',
  unready: [],
  problems: [],
  caches: [],
  plan: null,
  pending: [],
} as const;

/** What an engine without remote clusters answers. */
export function engineState(node: string, more: Partial<EngineDaemonState> = {}): EngineDaemonState {
  return {
    ...BASE,
    daemon: 'engine',
    node,
    inputs: {
      role: 'active',
      confirmed: true,
      leaseHolder: `${node}-submariner-gateway`,
      cableDriver: 'libreswan',
      implementation: null,
      localEndpoint: null,
      cniAddress: null,
      remotes: [],
      availability: null,
      gateways: [],
      guardedCidrs: [],
      broker: null,
      healthCheck: { enabled: true, intervalMs: 1000, maxLosses: 5 },
    },
    desired: { cables: [], network: null },
    observed: { network: null, nft: '', node: null, cables: [], ike: [], peers: [] },
    ...more,
  };
}

/** What a route agent without remote clusters answers. */
export function routeAgentState(node: string, more: Partial<RouteAgentDaemonState> = {}): RouteAgentDaemonState {
  return {
    ...BASE,
    daemon: 'routeagent',
    node,
    inputs: {
      role: 'worker',
      gatewayAddress: null,
      host: null,
      localCidrs: [],
      remoteCidrs: [],
      nodeAddresses: [],
      mssBytes: null,
      remotes: [],
    },
    desired: { network: null },
    observed: { network: null, nft: '', node: null },
    ...more,
  };
}
