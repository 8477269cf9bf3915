import { describe, expect, test } from '@jest/globals';
import type { EndpointSpec } from '../../src/api/types.ts';
import { judgeRemotes } from '../../src/engine/cables.ts';
import type { ObservedCable } from '../../src/engine/drivers/driver.ts';
import type { ProbeReport } from '../../src/engine/healthcheck.ts';
import type { Decision } from '../../src/engine/natdiscovery/discovery.ts';
import { desiredGateway, sameGateway, type StatusInputs } from '../../src/engine/status.ts';
import type { KubeObject } from '../../src/kube/client.ts';

const local: EndpointSpec = {
  cluster_id: 'west',
  cable_name: 'submariner-cable-west-172-32-0-11',
  hostname: 'west-1',
  subnets: ['10.131.0.0/16'],
  private_ip: '172.32.0.11',
  public_ip: '',
  nat_enabled: false,
  backend: 'vxlan',
};
const east: EndpointSpec = {
  ...local,
  cluster_id: 'east',
  cable_name: 'cable-east',
  hostname: 'east-1',
  subnets: ['10.130.0.0/16'],
  private_ip: '172.31.0.11',
};
const decided: Decision = { usingIp: '172.31.0.11', usingNat: false, origin: 'private' };
const latency = { last: '1ms', min: '1ms', average: '1ms', max: '1ms', stdDev: '0s' };
const alive: ProbeReport = { address: '10.130.1.1', state: 'alive', latency };
const dead: ProbeReport = { address: '10.130.1.1', state: 'dead', silentSinceMs: Date.UTC(2030, 0, 1, 12, 0, 5, 400) };

function inputs(over: Partial<StatusInputs> = {}): StatusInputs {
  return {
    nodeName: 'West_1.example',
    namespace: 'submariner-operator',
    version: '1.2.3',
    active: true,
    localEndpoint: local,
    failures: [],
    driverDescription: 'VXLAN',
    uses: new Map(),
    availability: { ready: true, reason: '', since: '2030-01-01T12:00:00.000Z', slots: 2, cables: [] },
    remotes: judgeRemotes([{ metadata: { name: 'e' }, spec: east } as KubeObject], local),
    decision: () => decided,
    observed: [{ cableName: 'cable-east', status: 'connected', message: 'handshake 3 s ago' }],
    probe: () => alive,
    ...over,
  };
}

describe('the Gateway', () => {
  test('has the fields of upstream', () => {
    expect(desiredGateway(inputs({ failures: ['one', 'two'] }))).toEqual({
      apiVersion: 'submariner.io/v1',
      kind: 'Gateway',
      metadata: {
        name: 'west-1-example',
        namespace: 'submariner-operator',
        annotations: {
          'gateway.submariner.io/cable-driver': 'VXLAN',
          'subctl.submariner.io/availability': JSON.stringify(inputs().availability),
        },
      },
      status: {
        version: '1.2.3',
        haStatus: 'active',
        localEndpoint: local,
        statusFailure: 'one; two',
        connections: [
          {
            status: 'connected',
            statusMessage: '',
            endpoint: east,
            usingIP: '172.31.0.11',
            usingNAT: false,
            latencyRTT: latency,
          },
        ],
      },
    });
  });

  test('a passive one has no connections', () => {
    expect(desiredGateway(inputs({ active: false })).status).toMatchObject({ haStatus: 'passive', connections: [] });
  });

  const tunnel = (status: ObservedCable['status']): Partial<StatusInputs> => ({
    observed: [{ cableName: 'cable-east', status, message: `it is ${status}` }],
  });

  test.each<[string, Partial<StatusInputs>, string, string | RegExp]>([
    ['probes answered', {}, 'connected', ''],
    ['probes answered though the tunnel says error', tunnel('error'), 'connected', ''],
    ['no health check: what the tunnel says', { probe: () => undefined }, 'connected', 'handshake 3 s ago'],
    [
      'silence though the tunnel says connected',
      { probe: () => dead },
      'error',
      'no answer of 10.130.1.1 to probes through the cable since 2030-01-01T12:00:05Z',
    ],
    [
      'silence and why',
      { probe: () => ({ ...dead, failure: 'sendmsg: Network is unreachable' }) },
      'error',
      /; ping says: sendmsg/,
    ],
    [
      'silence and no tunnel',
      { ...tunnel('connecting'), probe: () => dead },
      'error',
      /; the tunnel is connecting: it is connecting$/,
    ],
    [
      'too early to tell',
      { probe: () => ({ address: '10.130.1.1', state: 'waiting' }) },
      'connecting',
      'waiting for the first answer of 10.130.1.1 through the cable',
    ],
    [
      'too early, tunnel error',
      { ...tunnel('error'), probe: () => ({ address: '10.130.1.1', state: 'waiting' }) },
      'error',
      'it is error',
    ],
    ['undecided', { decision: () => undefined }, 'connecting', /^asking 172\.31\.0\.11 how it is reached/],
    [
      'no address',
      { decision: () => ({ ...decided, usingIp: '' }) },
      'error',
      'its Endpoint has no address that can be used',
    ],
    ['no tunnel', { observed: [] }, 'connecting', 'there is no tunnel yet'],
  ])('%s', (_name, over, status, message) => {
    const [connection] = desiredGateway(inputs(over)).status.connections;
    expect(connection!.status).toBe(status);
    if (typeof message === 'string') expect(connection!.statusMessage).toBe(message);
    else expect(connection!.statusMessage).toMatch(message);
  });

  test('a refused Endpoint is a connection with status error and the reason', () => {
    const other = { ...east, backend: 'wireguard' };
    const remotes = judgeRemotes([{ metadata: { name: 'e' }, spec: other } as KubeObject], local);
    expect(desiredGateway(inputs({ remotes })).status.connections).toEqual([
      { status: 'error', statusMessage: expect.stringContaining('uses cable driver wireguard'), endpoint: other },
    ]);
  });

  test('is the same while only round-trip times move', () => {
    const base = desiredGateway(inputs());
    const moved = inputs({ probe: () => ({ ...alive, latency: { ...latency, last: '2ms' } }) });
    expect(sameGateway(base, desiredGateway(moved))).toBe(true);
    expect(sameGateway(base, desiredGateway(inputs({ probe: () => dead })))).toBe(false);
    expect(sameGateway(base, desiredGateway(inputs({ failures: ['x'] })))).toBe(false);
    expect(sameGateway(base, desiredGateway(inputs({ active: false })))).toBe(false);
  });
});
