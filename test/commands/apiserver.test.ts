import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readToken } from '../../src/api/token.ts';
import type { KubeClient, KubeObject } from '../../src/kube/client.ts';
import { RESOURCES, resourcePath } from '../../src/kube/resources.ts';
import { requestToken } from '../../src/kube/tokenrequest.ts';
import { assetsOf } from '../apiserver.ts';
import { type CommandLine, NAMES, refusal, startCommandLine } from './commandline.ts';

const NAMESPACE = 'submariner-operator';

let line: CommandLine;

beforeEach(async () => {
  line = await startCommandLine();
});

afterEach(async () => line.stop());

test('broker, two joins and show against API servers with RBAC', async () => {
  expect(await line.run('deploy-broker')).toMatchObject({ exitCode: 0 });
  for (const name of NAMES) {
    const joined = await line.run('join', 'broker-info.subm', '--context', name, '--timeout', '30s');
    expect(joined.exitCode === 0 ? '' : joined.stderr).toBe('');
  }
  const again = await line.run('join', 'broker-info.subm', '--context', 'west', '-o', 'json');
  const { objects } = JSON.parse(again.stdout) as { readonly objects: readonly { readonly outcome: string }[] };
  expect(objects.length).toBeGreaterThan(20);
  expect(objects.filter(({ outcome }) => outcome !== 'unchanged')).toEqual([]);

  const shown = JSON.parse((await line.run('show', 'networks', '-o', 'json')).stdout) as {
    readonly items: readonly unknown[];
  };
  // Older servers tell only when they refuse an address.
  const source: unknown = assetsOf() === undefined ? 'ServiceCIDR kubernetes' : expect.any(String);
  expect(shown.items).toMatchObject([
    { cluster: 'east', serviceCIDRs: [{ cidr: '100.66.0.0/16', source }] },
    { cluster: 'west', serviceCIDRs: [{ cidr: '100.67.0.0/16', source }] },
  ]);
}, 60_000);

/** The broker as the joined cluster west sees it. */
async function asMember(): Promise<{ readonly member: KubeClient; readonly token: string }> {
  const token = await line.tokenOf('west');
  return { token, member: line.client('east', token) };
}

const BROKER = { namespace: 'submariner-k8s-broker' };
const clusterOf = (id: string): KubeObject =>
  ({
    metadata: { name: id },
    spec: { cluster_id: id, cluster_cidr: [], service_cidr: [], global_cidr: [] },
  }) as KubeObject;
const endpointOf = (id: string, name: string): KubeObject =>
  ({
    metadata: { name },
    spec: {
      cluster_id: id,
      cable_name: `submariner-cable-${id}-192-0-2-1`,
      hostname: 'h',
      subnets: [],
      private_ip: '192.0.2.1',
      public_ip: '',
      nat_enabled: false,
      backend: 'vxlan',
    },
  }) as KubeObject;

test('a member writes its own objects, reads no secrets and changes nothing of others', async () => {
  expect(await line.run('deploy-broker')).toMatchObject({ exitCode: 0 });
  for (const name of NAMES)
    expect(await line.run('join', 'broker-info.subm', '--context', name, '--timeout', '30s')).toMatchObject({
      exitCode: 0,
    });
  const { member } = await asMember();
  const east = line.clients['east']!;
  await east.create(RESOURCES.clusters, clusterOf('east'), BROKER);
  await east.create(RESOURCES.endpoints, endpointOf('east', 'east-gateway-0'), BROKER);

  await member.create(RESOURCES.clusters, clusterOf('west'), BROKER);
  for (const name of ['west-gateway-0', 'west-gateway-3']) {
    const made = await member.create(RESOURCES.endpoints, endpointOf('west', name), BROKER);
    await member.replace(RESOURCES.endpoints, { ...made, metadata: { ...made.metadata, labels: { a: 'b' } } }, BROKER);
    expect(await member.delete(RESOURCES.endpoints, name, BROKER)).toBe(true);
  }
  expect((await member.list(RESOURCES.endpoints, BROKER)).items).toHaveLength(1);

  const theirs = await east.get(RESOURCES.endpoints, 'east-gateway-0', BROKER);
  const merge = { ...BROKER, patchType: 'merge' } as const;
  expect(await refusal(member.replace(RESOURCES.endpoints, theirs, BROKER))).toBe(403);
  expect(await refusal(member.patch(RESOURCES.endpoints, 'east-gateway-0', {}, merge))).toBe(403);
  expect(await refusal(member.delete(RESOURCES.endpoints, 'east-gateway-0', BROKER))).toBe(403);
  expect(await refusal(member.delete(RESOURCES.clusters, 'east', BROKER))).toBe(403);
  expect(await refusal(member.request('DELETE', resourcePath(RESOURCES.endpoints, BROKER)))).toBe(403);
  expect(await refusal(member.delete(RESOURCES.serviceAccounts, 'cluster-east', BROKER))).toBe(403);
  for (const type of [RESOURCES.secrets, RESOURCES.serviceAccounts, RESOURCES.configMaps, RESOURCES.roles]) {
    expect(await refusal(member.list(type, BROKER))).toBe(403);
    expect(await refusal(member.get(type, 'any', BROKER))).toBe(403);
  }
  const tokens = ['cluster-east', 'submariner-k8s-broker-admin'].map((account) =>
    refusal(requestToken(member, { ...BROKER, account, seconds: 600 })),
  );
  expect(await Promise.all(tokens)).toEqual([403, 403]);
  member.close();
}, 60_000);

/** Real servers remember for some seconds that a token was good. */
async function untilRefused(member: KubeClient): Promise<void> {
  const answers: number[] = [];
  for (const end = Date.now() + (assetsOf() === undefined ? 0 : 30_000); ;) {
    answers.push(await refusal(member.list(RESOURCES.clusters, BROKER)));
    if (answers.at(-1) === 401) return;
    if (Date.now() > end) throw new Error(`not refused: ${answers.join()}`);
    await pause(100);
  }
}

test('the credential of a member ends, and with its Secret at once; the member itself renews it', async () => {
  expect(await line.run('deploy-broker')).toMatchObject({ exitCode: 0 });
  expect(await line.run('join', 'broker-info.subm', '--context', 'west', '--broker-token-expiry', '2h')).toMatchObject({
    exitCode: 0,
  });
  const { member, token } = await asMember();
  const facts = readToken(token);
  expect(facts).toMatchObject({ account: 'cluster-west', namespace: BROKER.namespace });
  expect(facts.expiresAtMs! - facts.issuedAtMs!).toBe(2 * 3_600_000);
  const { secret } = facts;
  const renewed = await requestToken(member, { ...BROKER, account: 'cluster-west', seconds: 600, secret });
  expect(readToken(renewed)).toMatchObject({ account: 'cluster-west', secret });
  await line.clients['east']!.delete(RESOURCES.secrets, secret!, BROKER);
  await untilRefused(member);
  member.close();

  const again = await line.run('join', 'broker-info.subm', '--context', 'west', '-o', 'json');
  expect(again).toMatchObject({ exitCode: 0 });
  const second = await asMember();
  expect(readToken(second.token).expiresAtMs! - readToken(second.token).issuedAtMs!).toBe(2 * 3_600_000);
  expect(await refusal(second.member.list(RESOURCES.clusters, BROKER))).toBe(0);
  second.member.close();
}, 60_000);

test('rights that are missing are listed and nothing is changed', async () => {
  expect(await line.run('deploy-broker')).toMatchObject({ exitCode: 0 });
  const client = line.clients['west']!;
  await client.create(RESOURCES.serviceAccounts, { metadata: { name: 'weak' } }, { namespace: 'default' });
  const rules = [
    { apiGroups: [''], resources: ['namespaces', 'nodes'], verbs: ['get', 'list'] },
    { apiGroups: ['submariner.io'], resources: ['*'], verbs: ['get'] },
  ];
  await client.create(RESOURCES.clusterRoles, { metadata: { name: 'weak' }, rules } as KubeObject);
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'weak' };
  const subjects = [{ kind: 'ServiceAccount', name: 'weak', namespace: 'default' }];
  await client.create(RESOURCES.clusterRoleBindings, { metadata: { name: 'weak' }, roleRef, subjects } as KubeObject);
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const granted = await client.request<{ readonly status: { readonly token: string } }>(
    'POST',
    '/api/v1/namespaces/default/serviceaccounts/weak/token',
    request,
  );
  const config = JSON.parse(readFileSync(path.join(line.directory, 'config'), 'utf8')) as { users: object[] };
  config.users[1] = { name: 'west', user: { token: granted.status.token } };
  writeFileSync(path.join(line.directory, 'config'), JSON.stringify(config));

  const refused = await line.run('join', 'broker-info.subm', '--context', 'west');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('west: patch nodes (cluster-wide)');
  expect(refused.stderr).toContain('west: create, patch customresourcedefinitions.apiextensions.k8s.io (cluster-wide)');
  expect(refused.stderr).toContain(`west: create, patch, get, list daemonsets.apps in namespace ${NAMESPACE}`);
  expect((await client.list(RESOURCES.crds)).items).toEqual([]);
  const { items } = await line.clients['east']!.list(RESOURCES.serviceAccounts, {
    namespace: 'submariner-k8s-broker',
  });
  expect(items.map(({ metadata }) => metadata.name)).not.toContain('cluster-west');
}, 60_000);
