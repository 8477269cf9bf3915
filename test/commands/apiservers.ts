// Run as a process of its own: two API servers, and the little of controllers and engines that join waits for. Prints one
// line of JSON, name to URL, when they are up; ends when its stdin does. The administrator's token is `token-<name>`.
import type { KubeClient } from '../../src/kube/client.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { DaemonSet } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { startApiServer } from '../../src/sandbox/apiserver/server.ts';
import { createServiceAccountKey } from '../../src/sandbox/jwt.ts';
import { runPlatformControllers } from '../../src/sandbox/platform/run.ts';

const NAMESPACE = 'submariner-operator';
const PERIOD_MS = 100;

async function startCluster(
  name: string,
  index: number,
): Promise<{ readonly url: string; readonly client: KubeClient }> {
  const serviceCidr = `100.${66 + index}.0.0/16`;
  const listen = [{ host: '127.0.0.1', port: 0 }];
  const serviceAccountKey = createServiceAccountKey();
  const adminToken = `token-${name}`;
  const { addresses } = await startApiServer({ listen, tls: undefined, adminToken, serviceCidr, serviceAccountKey });
  const [address] = addresses;
  const url = `http://127.0.0.1:${address !== undefined && 'port' in address ? address.port : 0}`;
  const client = createHttpsClient({ server: url, token: adminToken });
  const platform = { client, logger: silentLogger, clock: systemClock, ca: '', serviceAccountKey };
  void runPlatformControllers(platform, new AbortController().signal);
  const podCIDR = `10.${130 + index}.1.0/24`;
  const node = { metadata: { name: `${name}-1` }, spec: { podCIDR, podCIDRs: [podCIDR] } };
  await client.create(RESOURCES.nodes, node);
  return { url, client };
}

async function runDaemonSets(client: KubeClient): Promise<number> {
  const { items } = await client.list<DaemonSet>(RESOURCES.daemonSets, { namespace: NAMESPACE });
  for (const { metadata, status } of items) {
    if (status?.observedGeneration === metadata.generation) continue;
    const counts = { desiredNumberScheduled: 1, currentNumberScheduled: 1, numberMisscheduled: 0, numberReady: 1 };
    const patch = { status: { ...counts, updatedNumberScheduled: 1, observedGeneration: metadata.generation } };
    const options = { namespace: NAMESPACE, patchType: 'merge', subresource: 'status' } as const;
    await client.patch(RESOURCES.daemonSets, metadata.name ?? '', patch, options);
  }
  return items.length;
}

async function reportGateway(client: KubeClient, name: string): Promise<void> {
  if ((await client.list(RESOURCES.gateways, { namespace: NAMESPACE })).items.length > 0) return;
  const localEndpoint = {
    cluster_id: name,
    cable_name: `submariner-cable-${name}-192-0-2-1`,
    hostname: `${name}-1`,
    subnets: ['10.130.1.0/24'],
    private_ip: '192.0.2.1',
    public_ip: '',
    nat_enabled: false,
    backend: 'libreswan',
  };
  const status = { version: '1', haStatus: 'active', statusFailure: '', localEndpoint, connections: [] };
  const gateway = { metadata: { name: `${name}-1` }, status };
  await client.create(RESOURCES.gateways, gateway, { namespace: NAMESPACE });
}

async function playForever(client: KubeClient, name: string): Promise<void> {
  const daemonSets = await runDaemonSets(client);
  if (daemonSets >= 2) await reportGateway(client, name);
  setTimeout(() => void playForever(client, name), PERIOD_MS);
}

const urls: Record<string, string> = {};
for (const [index, name] of ['east', 'west'].entries()) {
  const { url, client } = await startCluster(name, index);
  urls[name] = url;
  void playForever(client, name);
}
process.stdin.on('end', () => process.exit(0)).resume();
console.log(JSON.stringify(urls));
