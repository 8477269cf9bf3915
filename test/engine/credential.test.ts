import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readToken } from '../../src/api/token.ts';
import { BrokerCredential } from '../../src/engine/credential.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { Secret } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { requestToken } from '../../src/kube/tokenrequest.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { type ApiServer, startApiServer } from '../../src/sandbox/apiserver/server.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';

// The broker is an API server with tokens that end by the same clock.
const BROKER = { namespace: 'broker' };
const OWN = { namespace: 'submariner-operator' };
const NAME = 'submariner-broker-secret';
/** A twenty-fourth of the life of a credential: so long that what takes minutes is short beside it. */
const PART = 600_000;

let clock: FakeClock;
let server: ApiServer;
let admin: KubeClient;
let url = '';
const cleanups: (() => unknown)[] = [];

beforeEach(async () => {
  clock = new FakeClock();
  const listen = [{ host: '127.0.0.1', port: 0 }];
  server = await startApiServer({ listen, tls: undefined, adminToken: 'admin', serviceCidr: '10.1.0.0/24', clock });
  const [address] = server.addresses;
  url = `http://127.0.0.1:${address !== undefined && 'port' in address ? address.port : 0}`;
  admin = createHttpsClient({ server: url, token: 'admin' });
  await admin.create(RESOURCES.namespaces, { metadata: { name: 'broker' } });
  await admin.create(RESOURCES.serviceAccounts, { metadata: { name: 'cluster-west' } }, BROKER);
  await admin.create(RESOURCES.secrets, { metadata: { name: 'anchor' } }, BROKER);
  const rules = [
    { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: ['cluster-west'], verbs: ['create'] },
    { apiGroups: [''], resources: ['configmaps'], verbs: ['list'] },
  ];
  await admin.create(RESOURCES.roles, { metadata: { name: 'r' }, rules } as never, BROKER);
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' };
  const subjects = [{ kind: 'ServiceAccount', name: 'cluster-west', namespace: 'broker' }];
  await admin.create(RESOURCES.roleBindings, { metadata: { name: 'r' }, roleRef, subjects } as never, BROKER);
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  admin.close();
  await server.close();
});

function secretWith(token: string): Secret {
  return {
    metadata: { name: NAME, ...OWN },
    data: { token: Buffer.from(token).toString('base64'), namespace: 'eA==' },
  };
}

async function issue(): Promise<string> {
  return requestToken(admin, { ...BROKER, account: 'cluster-west', seconds: (24 * PART) / 1000, secret: 'anchor' });
}

function start(local: FakeKube, mayRenew = true): BrokerCredential {
  const stop = new AbortController();
  const broker = { server: url, ...BROKER, ca: undefined, token: undefined, insecure: false, proxyUrl: undefined };
  const credential = new BrokerCredential({
    client: local,
    ...OWN,
    clusterId: 'west',
    broker: { ...broker, tokenFile: '/mounted', secretName: NAME },
    mayRenew: () => mayRenew,
    clock,
    logger: silentLogger,
    readText: () => 'of-the-file\n',
    connect: (tokenSource) => createHttpsClient({ server: url, tokenSource }),
  });
  const done = credential.run(stop.signal);
  cleanups.push(async () => {
    stop.abort();
    await done;
    credential.remote.close();
  });
  return credential;
}

const held = (local: FakeKube): string =>
  Buffer.from(local.all<Secret>(RESOURCES.secrets)[0]!.data!['token']!, 'base64').toString();

/** Lets fake time pass in small steps, and real time for the requests between them. */
async function pass(ms: number, until: () => boolean = () => false): Promise<void> {
  const end = clock.now() + ms;
  while (clock.now() < end && !until()) {
    await clock.advance(Math.min(15_000, end - clock.now()));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const accepted = async (credential: BrokerCredential): Promise<boolean> =>
  credential.remote.list(RESOURCES.configMaps, BROKER).then(
    () => true,
    () => false,
  );

test('it is renewed after half of its time, for as long as before, bound to the same Secret', async () => {
  const local = new FakeKube();
  const first = await issue();
  local.seed(RESOURCES.secrets, secretWith(first));
  const credential = start(local);
  await clock.advance(11 * PART);
  await pass(60_000);
  expect(held(local)).toBe(first);
  await clock.advance(PART);
  await pass(300_000, () => held(local) !== first);
  const renewed = readToken(held(local));
  expect(renewed).toMatchObject({ account: 'cluster-west', namespace: 'broker', secret: 'anchor' });
  expect(renewed.expiresAtMs! - renewed.issuedAtMs!).toBe(24 * PART);
  expect(local.all<Secret>(RESOURCES.secrets)[0]!.data!['namespace']).toBe('eA==');
  expect(await accepted(credential)).toBe(true);
  expect(credential.problem(true)).toBeUndefined();
});

test('a gateway that stands by renews nothing, and takes what the active one wrote', async () => {
  const local = new FakeKube();
  local.seed(RESOURCES.secrets, secretWith(await issue()));
  const credential = start(local, false);
  await clock.advance(13 * PART);
  await pass(60_000);
  expect(local.writes).toEqual([]);
  const other = await issue();
  local.drop(RESOURCES.secrets, NAME, OWN.namespace);
  local.seed(RESOURCES.secrets, secretWith(other));
  await pass(1000);
  expect(credential.expiresAtMs).toBe(readToken(other).expiresAtMs);
  expect(await accepted(credential)).toBe(true);
});

test('with the broker away beyond its end, it says so with the reason and what mends it; a new one is taken at once', async () => {
  const local = new FakeKube();
  local.seed(RESOURCES.secrets, secretWith(await issue()));
  const credential = start(local);
  await admin.delete(RESOURCES.roleBindings, 'r', BROKER);
  await clock.advance(17 * PART);
  await pass(120_000);
  expect(credential.problem(true)).toBeUndefined();
  await clock.advance(2 * PART);
  await pass(120_000);
  expect(credential.problem(true)).toMatch(
    /^the credential at the broker ends at .* and cannot be renewed: .*cannot create/,
  );
  await clock.advance(5 * PART);
  await pass(120_000);
  expect(await accepted(credential)).toBe(false);
  expect(credential.problem(false)).toMatch(
    /^the credential at the broker ended at 2030-01-01T04:00:00Z, before it could be renewed/,
  );
  expect(credential.problem(false)).toContain('subctl credentials rotate --broker-token');
  local.drop(RESOURCES.secrets, NAME, OWN.namespace);
  local.seed(RESOURCES.secrets, secretWith(await issue()));
  await pass(1000);
  expect(credential.problem(true)).toBeUndefined();
});

test('one that was revoked is told apart from a broker that is away', async () => {
  const local = new FakeKube();
  local.seed(RESOURCES.secrets, secretWith(await issue()));
  const credential = start(local);
  await pass(1000);
  expect(credential.problem(false)).toBeUndefined();
  await admin.delete(RESOURCES.secrets, 'anchor', BROKER);
  expect(await accepted(credential)).toBe(false);
  expect(credential.problem(false)).toMatch(
    /^the broker does not accept the credential of cluster-west: it was revoked/,
  );
  expect(credential.problem(true)).toBeUndefined();
  // Watches that are open go on: it asks by itself.
  await pass(60_000);
  expect(credential.problem(true)).toMatch(/^the broker does not accept the credential of cluster-west/);
});

test('the mounted file counts while the Secret cannot be read; one without end is left as it is', async () => {
  const local = new FakeKube();
  local.down = true;
  const credential = start(local);
  await pass(1000);
  expect(credential.expiresAtMs).toBeUndefined();
  local.down = false;
  local.seed(RESOURCES.secrets, secretWith('endless'));
  await pass(30_000);
  expect(credential.expiresAtMs).toBeUndefined();
  expect(local.writes).toEqual([]);
});
