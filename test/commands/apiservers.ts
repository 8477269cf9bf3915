// Run as a process of its own: two API servers, and the little of controllers and engines that join waits for. Prints one
// line of JSON, name to URL and authority, when they are up; ends when its stdin does. The administrator's token is `token-<name>`.
import type { KubeClient } from '../../src/kube/client.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { DaemonSet } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { startApiServer } from '../../src/sandbox/apiserver/server.ts';
import { createServiceAccountKey } from '../../src/sandbox/jwt.ts';
import { runPlatformControllers } from '../../src/sandbox/platform/run.ts';
import { assetsOf, startRealServer } from '../apiserver.ts';

const NAMESPACE = 'submariner-operator';
const PERIOD_MS = 100;

/** Where an API server is, and what it is known by. */
export interface Served {
  readonly server: string;
  /** PEM of its authority; without TLS there is none. */
  readonly ca?: string;
}

interface Serving extends Served {
  readonly serviceAccountKey: string;
  readonly close?: () => Promise<void>;
}

async function startServer(adminToken: string, serviceCidr: string): Promise<Serving> {
  const assets = assetsOf();
  if (assets !== undefined) {
    const { url, ...real } = await startRealServer(assets, { adminToken, serviceCidr });
    return { server: url, ...real };
  }
  const listen = [{ host: '127.0.0.1', port: 0 }];
  const serviceAccountKey = createServiceAccountKey();
  const { addresses } = await startApiServer({ listen, tls: undefined, adminToken, serviceCidr, serviceAccountKey });
  const [address] = addresses;
  const port = address !== undefined && 'port' in address ? address.port : 0;
  return { server: `http://127.0.0.1:${port}`, serviceAccountKey };
}

async function startCluster(name: string, index: number): Promise<Serving & { readonly client: KubeClient }> {
  const adminToken = `token-${name}`;
  const serving = await startServer(adminToken, `100.${66 + index}.0.0/16`);
  const { server, ca, serviceAccountKey } = serving;
  const client = createHttpsClient({ server, token: adminToken, ...(ca === undefined ? {} : { ca }) });
  const platform = { client, logger: silentLogger, clock: systemClock, ca: ca ?? '', serviceAccountKey };
  void runPlatformControllers(platform, new AbortController().signal);
  const podCIDR = `10.${130 + index}.1.0/24`;
  const node = { metadata: { name: `${name}-1` }, spec: { podCIDR, podCIDRs: [podCIDR] } };
  await client.create(RESOURCES.nodes, node);
  return { ...serving, client };
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
  setTimeout(() => play(client, name), PERIOD_MS);
}

/** Goes on until the process ends; the servers may end a little before. */
function play(client: KubeClient, name: string): void {
  void playForever(client, name).catch((error: unknown) => {
    if (!ending) throw error;
  });
}

let ending = false;
const started = await Promise.all(
  ['east', 'west'].map(async (name, index) => [name, await startCluster(name, index)] as const),
);
for (const [name, { client }] of started) play(client, name);
process.stdin
  .on('end', () => {
    ending = true;
    void Promise.all(started.map(async ([, { close }]) => close?.())).then(() => process.exit(0));
  })
  .resume();
const served = started.map(([name, { server, ca }]): readonly [string, Served] => [
  name,
  { server, ...(ca === undefined ? {} : { ca }) },
]);
console.log(JSON.stringify(Object.fromEntries(served)));
