import { describe, expect, test } from '@jest/globals';
import { AVAILABILITY_ANNOTATION, type Availability } from '../../../src/api/availability.ts';
import type { IkeSaState, WireguardPeerState } from '../../../src/api/daemonstate.ts';
import type { Connection, EndpointSpec, Gateway } from '../../../src/api/types.ts';
import { cableCounters, engineMetrics, type ConnectionFacts } from '../../../src/engine/telemetry/metrics.ts';
import { renderMetrics } from '../../../src/runtime/metrics.ts';

function spec(cluster: string, privateIp: string, publicIp = ''): EndpointSpec {
  return {
    cluster_id: cluster,
    cable_name: `submariner-cable-${cluster}`,
    hostname: `${cluster}-1`,
    subnets: [],
    private_ip: privateIp,
    public_ip: publicIp,
    nat_enabled: false,
    backend: 'wireguard',
  };
}

function gateway(connections: readonly Connection[]): Gateway {
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: {},
    status: {
      version: '1',
      haStatus: 'active',
      localEndpoint: spec('east', '10.0.0.1', '192.0.2.1'),
      statusFailure: '',
      connections,
    },
  };
}

const RTT = { last: '1.5ms', min: '1ms', average: '2ms', max: '3ms', stdDev: '0s' };
const WEST: Connection = {
  status: 'connected',
  statusMessage: '',
  endpoint: spec('west', '10.0.1.1'),
  latencyRTT: RTT,
};
const NORTH: Connection = { status: 'error', statusMessage: 'no answer', endpoint: spec('north', '10.0.2.1') };

function lines(facts: Partial<ConnectionFacts>): readonly string[] {
  const all: ConnectionFacts = {
    gateway: gateway([WEST, NORTH]),
    gateways: 2,
    startedAtMs: 5500,
    syncs: 4,
    connectedSince: ({ endpoint }) => (endpoint.cluster_id === 'west' ? 7900 : undefined),
    rxBytes: new Map([['submariner-cable-west', 11]]),
    txBytes: new Map([['submariner-cable-west', 22]]),
    brokerConnected: true,
    ...facts,
  };
  return renderMetrics(engineMetrics(all))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# HELP'));
}

const HERE = 'local_cluster="east",local_hostname="east-1"';
const TO_WEST = `cable_driver="wireguard",${HERE},local_endpoint_ip="192.0.2.1",remote_cluster="west",remote_hostname="west-1",remote_endpoint_ip="10.0.1.1"`;

describe('engineMetrics', () => {
  test('has the names and labels of upstream; counters are counters', () => {
    const shown = lines({});
    expect(shown).toEqual(
      expect.arrayContaining([
        '# TYPE submariner_gateway_rx_bytes counter',
        `submariner_gateway_rx_bytes{${TO_WEST}} 11`,
        '# TYPE submariner_gateway_tx_bytes counter',
        `submariner_gateway_tx_bytes{${TO_WEST}} 22`,
        `submariner_connection_established_timestamp{${TO_WEST}} 7`,
        `submariner_connection_latency_seconds{${TO_WEST}} 0.0015`,
        `submariner_connections{${TO_WEST},status="connected"} 1`,
        'submariner_connections_short{cable_driver="wireguard",status="connected"} 1',
        'submariner_connections_short{cable_driver="wireguard",status="connecting"} 0',
        'submariner_connections_short{cable_driver="wireguard",status="error"} 1',
        `submariner_requested_connections{${HERE},remote_cluster="north",remote_hostname="north-1",status="error"} 1`,
        'submariner_gateways 2',
        `submariner_gateway_creation_timestamp{${HERE}} 5`,
        '# TYPE submariner_gateway_sync_iterations counter',
        'submariner_gateway_sync_iterations 4',
        `submariner_gateway_active{${HERE}} 1`,
        'submariner_broker_connected 1',
      ]),
    );
    expect(shown.filter((line) => line.includes('north') && /rx_bytes|latency|established/.test(line))).toEqual([]);
  });

  test('its part in high availability, and the cables to standby gateways', () => {
    const availability: Availability = {
      ready: true,
      reason: '',
      since: '2030-01-01T00:00:00Z',
      slots: 2,
      lastFailover: { at: '2030-01-01T00:00:00Z', from: 'east-2', cause: 'silent', durationMs: 640 },
      cables: [
        { cluster: 'west', gateway: 'west-1', state: 'alive', carries: true },
        { cluster: 'west', gateway: 'west-2', state: 'silent', carries: false },
        { cluster: 'north', gateway: 'north-1', state: 'not probed', carries: true },
      ],
    };
    const annotations = { [AVAILABILITY_ANNOTATION]: JSON.stringify(availability) };
    const shown = lines({ gateway: { ...gateway([]), metadata: { annotations } } });
    const cable = (cluster: string, hostname: string): string =>
      `{${HERE},remote_cluster="${cluster}",remote_hostname="${hostname}"}`;
    expect(shown.filter((line) => /^submariner_gateway_(ready|cable|failover)/.test(line))).toEqual([
      `submariner_gateway_ready{${HERE}} 1`,
      `submariner_gateway_cable_alive${cable('west', 'west-1')} 1`,
      `submariner_gateway_cable_alive${cable('west', 'west-2')} 0`,
      `submariner_gateway_cable_carries${cable('west', 'west-1')} 1`,
      `submariner_gateway_cable_carries${cable('west', 'west-2')} 0`,
      `submariner_gateway_cable_carries${cable('north', 'north-1')} 1`,
      `submariner_gateway_failover_timestamp{${HERE}} 1893456000`,
      `submariner_gateway_failover_duration_seconds{${HERE}} 0.64`,
    ]);
  });

  test('no series outlives what it is about', () => {
    const changed = { ...WEST, status: 'connecting' } as const;
    const now = lines({ gateway: gateway([changed]), connectedSince: () => undefined });
    expect(now.filter((line) => line.startsWith('submariner_connections{'))).toEqual([
      `submariner_connections{${TO_WEST},status="connecting"} 1`,
    ]);
    expect(now.some((line) => line.includes('north') || line.startsWith('submariner_connection_established'))).toBe(
      false,
    );
  });

  test('before the first report and on a standby only what is known', () => {
    const shown = lines({ gateway: undefined, brokerConnected: undefined, rxBytes: new Map(), txBytes: new Map() });
    expect(shown.filter((line) => !line.startsWith('#')).map((line) => line.replace(/[{ ].*/, ''))).toEqual([
      'submariner_gateways',
      'submariner_gateway_creation_timestamp',
      'submariner_gateway_active',
      'submariner_gateway_sync_iterations',
    ]);
  });

  test('two Endpoints that look the same make one series', () => {
    const shown = lines({ gateway: gateway([NORTH, NORTH]) });
    expect(shown.filter((line) => line.startsWith('submariner_connections{'))).toHaveLength(1);
  });
});

describe('cableCounters', () => {
  const child = { state: 'INSTALLED', localTs: '', remoteTs: '', cipher: '', encap: true };
  const ike: IkeSaState = {
    connection: 'c',
    id: '1',
    state: 'ESTABLISHED',
    localHost: '',
    remoteHost: '',
    remotePort: '',
    localId: '',
    remoteId: '',
    children: [
      { ...child, id: '7', name: 'submariner-cable-west-0-0', rxBytes: 1, txBytes: 10 },
      { ...child, id: '8', name: 'submariner-cable-west-0-1', rxBytes: 2, txBytes: 20 },
    ],
  };
  const peer: WireguardPeerState = {
    link: 'submariner',
    publicKey: 'KEY',
    endpoint: null,
    allowedIps: [],
    keepaliveSeconds: 10,
    latestHandshake: null,
    rxBytes: 3,
    txBytes: 30,
  };

  test('counts by SA and by peer', () => {
    const cables = [{ name: 'submariner-cable-north', remoteConfig: { publicKey: 'KEY' } }];
    const counters = cableCounters('txBytes', { ike: [ike], peers: [peer, { ...peer, publicKey: 'OTHER' }] }, cables);
    const plain = Object.fromEntries([...counters].map(([cable, of]) => [cable, Object.fromEntries(of)]));
    expect(plain).toEqual({
      'submariner-cable-west': { 7: 10, 8: 20 },
      'submariner-cable-north': { 'submariner/KEY': 30 },
    });
  });
});
