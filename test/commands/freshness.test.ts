import { expect, test } from '@jest/globals';
import type { Gateway } from '../../src/api/types.ts';
import { readConnections } from '../../src/commands/show/connections.ts';
import { silence } from '../../src/commands/show/freshness.ts';
import { gatewaysView } from '../../src/commands/show/gateways.ts';
import type { ShownCluster } from '../../src/commands/show/view.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { endpointSpec } from './harness.ts';

const NOW = 1_800_000_000_000;
const RTT = { last: '1ms', min: '1ms', average: '1ms', max: '1ms', stdDev: '0s' };

function gateway(secondsAgo: number | string): Gateway {
  const stamp = typeof secondsAgo === 'string' ? secondsAgo : String(NOW / 1000 - secondsAgo);
  const connection = {
    status: 'connected',
    statusMessage: '',
    endpoint: endpointSpec('west', '10.0.0.2'),
    latencyRTT: RTT,
  };
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: { name: 'east-1', namespace: 'submariner-operator', annotations: { 'update-timestamp': stamp } },
    status: {
      version: '1',
      haStatus: 'active',
      localEndpoint: endpointSpec('east', '10.0.0.1') as unknown as Gateway['status']['localEndpoint'],
      statusFailure: '',
      connections: [connection as unknown as Gateway['status']['connections'][number]],
    },
  };
}

function cluster(object: Gateway): ShownCluster {
  const client = new FakeKube([{ type: RESOURCES.gateways, object }]);
  return { client, clusterId: 'east', nowMs: NOW } as unknown as ShownCluster;
}

test.each([
  [0, false],
  [19, false],
  [20, true],
  [3600, true],
  [-60, false],
  ['', false],
  ['soon', false],
])('a gateway that was written %s s ago is silent: %s', (ago, silent) => {
  expect(silence(gateway(ago), NOW) !== undefined).toBe(silent);
});

test('a gateway without the time stamp is believed', () => {
  const { metadata, ...rest } = gateway(900);
  expect(silence({ ...rest, metadata: { name: 'east-1' } }, NOW)).toBeUndefined();
  expect(metadata.name).toBe('east-1');
});

test('connections of a silent gateway are errors that say why, and carry no probes', async () => {
  const [connection] = await readConnections(cluster(gateway(47)));
  expect(connection).toMatchObject({
    status: 'error',
    rtt: null,
    message: 'gateway east-1 has not reported for 47 s; what it said before may be wrong',
  });
  const [fresh] = await readConnections(cluster(gateway(3)));
  expect(fresh).toMatchObject({ status: 'connected', message: '' });
});

test('show gateways says that a gateway is silent', async () => {
  const shown = await gatewaysView.read(cluster(gateway(47)));
  expect(shown.table(false)).toContain('gateway east-1 has not reported for 47 s');
});
