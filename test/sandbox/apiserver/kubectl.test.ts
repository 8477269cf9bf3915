import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { assetsOf } from '../../apiserver.ts';
import { startAnyServer } from './server.ts';

const hasKubectl = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).status === 0;
const withKubectl = hasKubectl ? test : test.skip;

/** What kubectl waits for takes longer where controllers look at a server that is slow to start. */
const WAIT = `--timeout=${assetsOf() === undefined ? 20 : 120}s`;
if (assetsOf() !== undefined) jest.setTimeout(900_000);
let server: Awaited<ReturnType<typeof startAnyServer>>;
let dir: string;

beforeAll(async () => {
  server = await startAnyServer();
  dir = mkdtempSync(path.join(tmpdir(), 'apiserver-kubectl-'));
  const cluster = { server: server.url, 'certificate-authority-data': Buffer.from(server.ca).toString('base64') };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user: { token: server.adminToken } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  };
  writeFileSync(path.join(dir, 'config'), JSON.stringify(config));
});

afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs kubectl without blocking this process, which is the server; resolves with what it printed, rejects when it fails. */
function kubectl(args: readonly string[], input?: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubectl', args, {
      env: { PATH: process.env.PATH, HOME: dir, KUBECONFIG: path.join(dir, 'config') },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(out.trim()) : reject(new Error(`kubectl ${args.join(' ')}: ${err}`)),
    );
    child.stdin.end(input === undefined ? undefined : JSON.stringify(input));
  });
}

const deployment = (image: string): unknown => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
  },
});

withKubectl(
  'apply, patch, scale, get and delete',
  async () => {
    expect(await kubectl(['apply', '-f', '-'], deployment('img:1'))).toBe('deployment.apps/web created');
    expect(await kubectl(['apply', '-f', '-'], deployment('img:2'))).toBe('deployment.apps/web configured');
    expect(await kubectl(['apply', '-f', '-'], deployment('img:2'))).toBe('deployment.apps/web unchanged');
    expect(await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], deployment('img:3'))).toContain(
      'serverside-applied',
    );
    await kubectl(['patch', 'deployment', 'web', '-p', '{"metadata":{"labels":{"x":"y"}}}']);
    await kubectl(['scale', 'deployment', 'web', '--replicas=3']);
    const table = await kubectl(['get', 'deployments', '-o', 'wide', '-l', 'x=y']);
    expect(table).toMatch(
      /NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\s+CONTAINERS\s+IMAGES\s+SELECTOR\nweb\s+0\/3\s+0\s+0\s+\S+\s+c\s+img:3\s+app=web/,
    );
    expect(await kubectl(['delete', 'deployment', 'web'])).toContain('deleted');
    expect(await kubectl(['get', 'deployments', '-o', 'name'])).toBe('');
  },
  60_000,
);

withKubectl(
  'what its typed clients send as Protobuf: create, auth can-i, tokens',
  async () => {
    await kubectl(['create', 'namespace', 'typed']);
    await kubectl(['create', 'serviceaccount', 'app', '-n', 'typed']);
    await kubectl(['create', 'configmap', 'cm', '-n', 'typed', '--from-literal=a=b', '--from-literal=empty=']);
    expect(JSON.parse(await kubectl(['get', 'cm', 'cm', '-n', 'typed', '-o', 'jsonpath={.data}']))).toEqual({
      a: 'b',
      empty: '',
    });
    const web = ['--image=a:1', '--image=b:2', '--replicas=3', '--port=80'];
    await kubectl(['create', 'deployment', 'web', '-n', 'typed', ...web]);
    const made = JSON.parse(await kubectl(['get', 'deployment', 'web', '-n', 'typed', '-o', 'json'])) as object;
    expect(made).toMatchObject({
      metadata: { labels: { app: 'web' } },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'a', image: 'a:1', ports: [{ containerPort: 80 }] }, { image: 'b:2' }] },
        },
      },
    });
    await kubectl(['create', 'role', 'reader', '-n', 'typed', '--verb=get,list', '--resource=pods']);
    await kubectl(['create', 'rolebinding', 'readers', '-n', 'typed', '--role=reader', '--serviceaccount=typed:app']);
    const as = ['-n', 'typed', '--as=system:serviceaccount:typed:app'];
    expect(await kubectl(['auth', 'can-i', 'list', 'pods', ...as])).toBe('yes');
    await expect(kubectl(['auth', 'can-i', 'delete', 'pods', ...as])).rejects.toThrow();
    const token = await kubectl(['create', 'token', 'app', '-n', 'typed']);
    const kinds = await kubectl(['api-resources', '--api-group=authentication.k8s.io', '-o', 'name']);
    // Servers before 1.28 do not have it.
    if (assetsOf() === undefined || kinds.includes('selfsubjectreviews')) {
      const asked = ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}', `--token=${token}`];
      expect(await kubectl(asked)).toContain('system:');
    }
    await kubectl(['delete', 'namespace', 'typed', WAIT]);
  },
  60_000,
);

withKubectl(
  'custom resources, wait and watch',
  async () => {
    const schema = {
      openAPIV3Schema: {
        type: 'object',
        properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
      },
    };
    const crd = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    };
    const thing = { apiVersion: 'example.com/v1', kind: 'Thing', metadata: { name: 'one' }, spec: { size: 1 } };
    await kubectl(['apply', '-f', '-'], crd);
    await kubectl(['wait', '--for=condition=Established', 'crd/things.example.com', '--timeout=10s']);
    await kubectl(['apply', '-f', '-'], thing);
    const waiting = kubectl(['wait', '--for=jsonpath={.spec.size}=2', 'thing/one', WAIT]);
    await kubectl(['patch', 'thing', 'one', '--type=merge', '-p', '{"spec":{"size":2}}']);
    expect(await waiting).toContain('condition met');
    await expect(kubectl(['apply', '-f', '-'], { ...thing, spec: { size: 'big' } })).rejects.toThrow(
      // The older sentence is kubectl's own, where the server does not check fields for it.
      /must be of type integer|got "string", expected "integer"/,
    );
    expect(await kubectl(['api-resources', '--api-group=example.com', '-o', 'name'])).toBe('things.example.com');
    await kubectl(['delete', 'crd', 'things.example.com', WAIT]);
  },
  60_000,
);
