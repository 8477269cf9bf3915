import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { brokerAccessOf, parseBrokerInfo } from '../../src/api/brokerinfo.ts';
import { readToken } from '../../src/api/token.ts';
import type { KubeClient, KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { requestToken } from '../../src/kube/tokenrequest.ts';
import { type CommandLine, refusal, startCommandLine } from './commandline.ts';

const BROKER = { namespace: 'submariner-k8s-broker' };
let line: CommandLine;

beforeAll(async () => {
  line = await startCommandLine();
  await line.ok('deploy-broker');
}, 120_000);

afterAll(async () => line.stop());

function holderOf(file: string): KubeClient {
  const { info } = parseBrokerInfo(readFileSync(path.join(line.directory, file), 'utf8'));
  return line.client('east', brokerAccessOf(info!).token);
}

const accounts = async (): Promise<readonly string[]> => {
  const { items } = await line.clients['east']!.list(RESOURCES.serviceAccounts, BROKER);
  return items.map(({ metadata }) => metadata.name ?? '').filter((name) => /^(?:join|cluster)-/.test(name));
};

test('a join file lets one cluster join once, under its ID only', async () => {
  const made = await line.ok('broker-info', 'create', '--clusterid', 'west', '--expires', '20m', '-o', 'json');
  const { file, name, expires } = JSON.parse(made.stdout) as Readonly<Record<string, string>>;
  expect(file).toBe('join-west.subm');
  expect(statSync(path.join(line.directory, 'join-west.subm')).mode & 0o777).toBe(0o600);
  expect(Date.parse(expires!) - Date.now()).toBeLessThanOrEqual(20 * 120_000);
  const listed = JSON.parse((await line.ok('broker-info', 'list', '-o', 'json')).stdout) as {
    readonly items: readonly [{ readonly expires: string }];
  };
  expect(listed).toEqual({
    items: [{ name, clusterId: 'west', created: expect.any(String), expires: expect.any(String), state: 'valid' }],
  });
  // The broker counts from the moment at which it makes the token.
  expect(Math.abs(Date.parse(listed.items[0].expires) - Date.parse(expires!))).toBeLessThanOrEqual(5000);

  const other = await line.run('join', 'join-west.subm', '--context', 'east', '--clusterid', 'east');
  expect(other.exitCode).toBe(1);
  expect(other.stderr).toContain('join-west.subm lets a cluster join as west only, not as east');

  const joined = await line.ok('join', 'join-west.subm', '--context', 'west');
  expect(joined.stderr).toContain('Cluster west has joined');
  expect(await accounts()).toEqual(['cluster-west']);
  const member = line.client('east', await line.tokenOf('west'));
  expect(await refusal(member.list(RESOURCES.endpoints, BROKER))).toBe(0);
  member.close();

  const again = await line.run('join', 'join-west.subm', '--context', 'west');
  expect(again.exitCode).toBe(1);
  expect(again.stderr).toContain('does not accept join-west.subm any more: one cluster can join with it once');
  expect(again.stderr).toContain('subctl broker-info create');
  const admin = await line.run('broker-info', 'create', '--from', 'join-west.subm');
  expect(admin.stderr).toContain('is a join file');
}, 180_000);

test('the holder of a join file can do for its ID what join does, and nothing for another', async () => {
  await line.ok('broker-info', 'create', '--clusterid', 'north');
  const holder = holderOf('join-north.subm');
  const account = (name: string): KubeObject => ({ metadata: { name } });
  const token = (name: string): Promise<number> =>
    refusal(requestToken(holder, { ...BROKER, account: name, seconds: 600 }));
  expect(await refusal(holder.create(RESOURCES.serviceAccounts, account('cluster-north'), BROKER))).toBe(0);
  expect(await token('cluster-north')).toBe(0);
  expect(await token('submariner-k8s-broker-admin')).toBe(403);
  expect(await refusal(holder.list(RESOURCES.secrets, BROKER))).toBe(403);
  expect(await refusal(holder.delete(RESOURCES.serviceAccounts, 'cluster-west', BROKER))).toBe(403);
  const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }];
  expect(await refusal(holder.delete(RESOURCES.serviceAccounts, 'cluster-north', BROKER))).toBe(0);
  expect(await refusal(holder.create(RESOURCES.roles, { metadata: { name: 'r' }, rules } as KubeObject, BROKER))).toBe(
    403,
  );
  holder.close();
}, 120_000);

test('a file for any ID joins, says what it is worth, and a revoked one does not', async () => {
  const made = await line.ok('broker-info', 'create', '-f', 'any.subm');
  expect(made.stderr).toContain('its holder can do on the broker what the administrator can');
  await line.ok('join', 'any.subm', '--context', 'west');
  expect((await accounts()).filter((name) => name.startsWith('join-any'))).toEqual([]);

  const { name } = JSON.parse((await line.ok('broker-info', 'create', '--clusterid', 'east', '-o', 'json')).stdout) as {
    readonly name: string;
  };
  const wrong = await line.run('broker-info', 'revoke', name, 'join-nobody');
  expect(wrong.stderr).toContain('the broker knows no join file join-nobody');
  await line.ok('broker-info', 'revoke', name);
  const refused = await line.run('join', 'join-east.subm', '--context', 'east');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('it was used or revoked');
  expect((await line.run('broker-info', 'create', '--expires', '5m')).exitCode).toBe(2);
  expect((await line.run('broker-info', 'create', '--clusterid', 'A_')).exitCode).toBe(2);
}, 180_000);

test('a new credential ends the former ones; a revoked cluster is gone from the broker at once', async () => {
  await line.ok('join', 'broker-info.subm', '--context', 'west');
  const before = await line.tokenOf('west');
  const shown = JSON.parse((await line.ok('credentials', 'show', '--context', 'west', '-o', 'json')).stdout) as {
    readonly items: readonly object[];
  };
  expect(shown.items).toMatchObject([
    { cluster: 'west', kind: 'broker', identity: 'cluster-west', state: 'valid' },
    { cluster: 'west', kind: 'psk', expires: null, state: 'endless' },
  ]);

  expect((await line.run('credentials', 'rotate', '--context', 'west')).exitCode).toBe(2);
  await line.ok('credentials', 'rotate', '--broker-token', '--context', 'west', '--expires', '3h');
  const after = await line.tokenOf('west');
  expect(readToken(after).expiresAtMs! - readToken(after).issuedAtMs!).toBe(3 * 3_600_000);
  const [former, member] = [before, after].map((token) => line.client('east', token));
  expect(await refusal(former!.list(RESOURCES.endpoints, BROKER))).toBe(401);
  expect(await refusal(member!.list(RESOURCES.endpoints, BROKER))).toBe(0);

  const spec = { cluster_id: 'west', cluster_cidr: [], service_cidr: [], global_cidr: [] };
  await member!.create(RESOURCES.clusters, { metadata: { name: 'west' }, spec } as KubeObject, BROKER);
  const unknown = await line.run('credentials', 'revoke', 'north', '--yes');
  expect(unknown.stderr).toContain('knows no cluster north');
  expect((await line.run('credentials', 'revoke', 'west')).stderr).toContain('nobody agreed to cut cluster west off');
  await line.ok('credentials', 'revoke', 'west', '--yes');
  expect(await refusal(member!.list(RESOURCES.endpoints, BROKER))).toBe(401);
  expect((await line.clients['east']!.list(RESOURCES.clusters, BROKER)).items).toEqual([]);
  expect(await accounts()).not.toContain('cluster-west');
  const gone = await line.run('credentials', 'rotate', '--broker-token', '--context', 'west');
  expect(gone.stderr).toContain('knows no cluster west: it was revoked, or has left');
  for (const client of [former, member]) client!.close();
}, 180_000);
