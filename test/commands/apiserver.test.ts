import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeClient, KubeObject } from '../../src/kube/client.ts';
import { isForbidden } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { Secret } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';

// The commands as a user runs them, each in a process of its own, against API servers with real RBAC and CRD validation.
const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const SERVERS = fileURLToPath(new URL('apiservers.ts', import.meta.url));
const NAMES = ['east', 'west'] as const;
const NAMESPACE = 'submariner-operator';

let directory = '';
let servers: ChildProcess | undefined;
let urls: Readonly<Record<string, string>> = {};
let clients: Readonly<Record<string, KubeClient>> = {};

beforeEach(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'subctl-cli-'));
  servers = spawn(process.execPath, ['--no-warnings', SERVERS], { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await Promise.race([
    once(servers.stdout!, 'data'),
    once(servers, 'exit').then(() => Promise.reject(new Error('the API servers did not start'))),
  ]);
  urls = JSON.parse(String(line[0])) as Record<string, string>;
  clients = Object.fromEntries(
    NAMES.map((name) => [name, createHttpsClient({ server: urls[name]!, token: `token-${name}` })]),
  );
  const kubeconfig = {
    'current-context': 'east',
    clusters: NAMES.map((name) => ({ name, cluster: { server: urls[name] } })),
    users: NAMES.map((name) => ({ name, user: { token: `token-${name}` } })),
    contexts: NAMES.map((name) => ({ name, context: { cluster: name, user: name } })),
  };
  writeFileSync(path.join(directory, 'config'), JSON.stringify(kubeconfig));
  const starter = `import { main } from ${JSON.stringify(CLI)};\nawait main();\n`;
  writeFileSync(path.join(directory, 'subctl.mjs'), starter);
});

afterEach(async () => {
  for (const client of Object.values(clients)) client.close();
  const ended = servers?.exitCode === null ? once(servers, 'exit') : undefined;
  servers?.stdin?.end();
  await ended;
  rmSync(directory, { recursive: true, force: true });
});

async function subctl(...args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const all = ['--no-warnings', path.join(directory, 'subctl.mjs'), ...args, '--kubeconfig', 'config'];
  return new Promise((resolve) => {
    execFile(process.execPath, all, { cwd: directory, env: { HOME: directory } }, (error, stdout, stderr) => {
      resolve({ exitCode: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}

test('broker, two joins and show against API servers with RBAC', async () => {
  expect(await subctl('deploy-broker')).toMatchObject({ exitCode: 0 });
  for (const name of NAMES) {
    const joined = await subctl('join', 'broker-info.subm', '--context', name, '--timeout', '30s');
    expect(joined.exitCode === 0 ? '' : joined.stderr).toBe('');
  }
  const again = await subctl('join', 'broker-info.subm', '--context', 'west', '-o', 'json');
  const { objects } = JSON.parse(again.stdout) as { readonly objects: readonly { readonly outcome: string }[] };
  expect(objects.length).toBeGreaterThan(20);
  expect(objects.filter(({ outcome }) => outcome !== 'unchanged')).toEqual([]);

  const shown = JSON.parse((await subctl('show', 'networks', '-o', 'json')).stdout) as {
    readonly items: readonly unknown[];
  };
  expect(shown.items).toMatchObject([
    { cluster: 'east', serviceCIDRs: [{ cidr: '100.66.0.0/16', source: 'ServiceCIDR kubernetes' }] },
    { cluster: 'west', serviceCIDRs: [{ cidr: '100.67.0.0/16', source: 'ServiceCIDR kubernetes' }] },
  ]);

  const secret = await clients['west']!.get<Secret>(RESOURCES.secrets, 'submariner-broker-secret', {
    namespace: NAMESPACE,
  });
  const token = Buffer.from(secret.data!['token']!, 'base64').toString();
  const member = createHttpsClient({ server: urls['east']!, token });
  const namespace = 'submariner-k8s-broker';
  const spec = { cluster_id: 'west', cluster_cidr: [], service_cidr: [], global_cidr: [] };
  await member.create(RESOURCES.clusters, { metadata: { name: 'west' }, spec } as KubeObject, { namespace });
  expect((await member.list(RESOURCES.endpoints, { namespace })).items).toEqual([]);
  for (const type of [RESOURCES.secrets, RESOURCES.serviceAccounts, RESOURCES.configMaps]) {
    const refusal: unknown = await member.list(type, { namespace }).catch((error: unknown) => error);
    expect(isForbidden(refusal)).toBe(true);
  }
  member.close();
}, 60_000);

test('rights that are missing are listed and nothing is changed', async () => {
  expect(await subctl('deploy-broker')).toMatchObject({ exitCode: 0 });
  const client = clients['west']!;
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
  const config = JSON.parse(readFileSync(path.join(directory, 'config'), 'utf8')) as { users: object[] };
  config.users[1] = { name: 'west', user: { token: granted.status.token } };
  writeFileSync(path.join(directory, 'config'), JSON.stringify(config));

  const refused = await subctl('join', 'broker-info.subm', '--context', 'west');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('west: patch nodes (cluster-wide)');
  expect(refused.stderr).toContain('west: create, patch customresourcedefinitions.apiextensions.k8s.io (cluster-wide)');
  expect(refused.stderr).toContain(`west: create, patch, get, list daemonsets.apps in namespace ${NAMESPACE}`);
  expect((await client.list(RESOURCES.crds)).items).toEqual([]);
  const { items } = await clients['east']!.list(RESOURCES.serviceAccounts, {
    namespace: 'submariner-k8s-broker',
  });
  expect(items.map(({ metadata }) => metadata.name)).not.toContain('cluster-west');
}, 60_000);
