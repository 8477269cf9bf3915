import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Pod } from '../../src/kube/objects.ts';
import { sandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import type { TrafficReport } from '../../src/sandbox/traffic/report.ts';
import { type Finished, finished, TestSandbox } from './subctl.ts';
import { withTraffic } from './traffic.ts';

const NAMESPACE = 'submariner-operator';
/** On a busy machine programs stand still for seconds; a gateway that does is not to be taken for a dead one here. */
const PATIENT =
  '--gateway-probe-interval 1000 --gateway-lease-duration 30 --gateway-renew-deadline 20 --gateway-retry-period 2';

/** What a former version had. */
const FORMER = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: submariner-former }
rules: [{ apiGroups: [''], resources: [pods], verbs: [list] }]
`;

describe('upgrades with traffic running', () => {
  const sandbox = new TestSandbox();
  const files = sandboxFiles(path.join(sandbox.root, 'state'), sandbox.name);
  const east = ['--context', 'east', ...sandbox.kubeconfig];

  function pods(cluster: string, label: string): readonly Pod[] {
    const list = sandbox.kubectl('--context', cluster, 'get', 'pods', '-A', '-l', label, '-o', 'json');
    return (JSON.parse(list) as { readonly items: readonly Pod[] }).items;
  }

  /** Node and image of each daemon. */
  const running = (): readonly string[] =>
    ['gateway', 'routeagent'].flatMap((component) =>
      pods('east', `app=submariner-${component}`)
        .map(({ spec }) => `${spec.nodeName} ${spec.containers[0]?.image}`)
        .toSorted(),
    );
  const images = (version: string): readonly string[] =>
    ['submariner-gateway', 'submariner-route-agent'].flatMap((image) =>
      ['east-1', 'east-2'].map((node) => `${node} localhost/subctl/${image}:${version}`),
    );

  /** Traffic from and to either gateway node while a command runs. */
  async function across(
    ...args: readonly string[]
  ): Promise<Finished & { readonly reports: readonly TrafficReport[] }> {
    return withTraffic(sandbox, files, () => sandbox.run(...args));
  }

  const losses = (reports: readonly TrafficReport[]): readonly object[] =>
    reports.map(({ udp, tcp }) => ({ lost: udp.lost, resets: tcp.resets.length, some: udp.sent > 100 }));
  const NONE = [0, 1, 2].map(() => ({ lost: 0, resets: 0, some: true }));

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2', '--gateways', '2');
    await sandbox.ok('deploy-broker', ...east);
    await sandbox.join('--gateways', '2', '--version', '0.0.1', '--cable-driver', 'vxlan', ...PATIENT.split(' '));
  }, 300_000);

  afterAll(() => sandbox.dispose());

  test('a version that does not start is taken back, and nobody notices', async () => {
    expect(running()).toEqual(images('0.0.1'));
    const wrong = ['--image-override', 'submariner-gateway=registry.example/nothing:1'];
    const { code, stderr, reports } = await across('upgrade', '--yes', ...wrong, ...east);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/ErrImagePull[\s\S]*Everything is as before, version 0\.0\.1/),
    });
    expect(running()).toEqual(images('0.0.1'));
    expect(losses(reports)).toEqual(NONE);
    await sandbox.ok('diff', ...east);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '1m', ...sandbox.kubeconfig);
  }, 400_000);

  test('an upgrade loses no packet, and a second run finds nothing to do', async () => {
    const former = path.join(sandbox.root, 'former.yaml');
    writeFileSync(former, FORMER);
    const applied = ['--context', 'east', 'apply', '--server-side', '-f', former];
    sandbox.kubectl(...applied, '--field-manager', 'subctl');
    const { code, stdout, stderr, reports } = await across('upgrade', '--yes', '-o', 'json', ...east);
    const roles = sandbox.kubectl('--context', 'east', 'get', 'clusterroles', '-o', 'name');
    expect([roles.includes('submariner-former'), roles.includes('submariner-gateway')]).toEqual([false, true]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { to, replacements } = JSON.parse(stdout) as { to: string; replacements: readonly object[] };
    expect(running()).toEqual(images(to));
    expect(replacements).toMatchObject([{ daemonSet: 'submariner-routeagent' }, { daemonSet: 'submariner-gateway' }]);
    expect(losses(reports)).toEqual(NONE);
    await sandbox.ok('diff', ...east);
    const again = await sandbox.run('upgrade', '--yes', ...east);
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing to do') });
    expect(sandbox.kubectl('--context', 'east', '-n', NAMESPACE, 'get', 'configmaps', '-o', 'name')).not.toContain(
      'subctl-upgrade',
    );
  }, 400_000);

  test('a setting that join changes loses no packet either', async () => {
    const { code, stderr, reports } = await across(
      'join',
      'broker-info.subm',
      '--yes',
      '--health-check-interval',
      '2',
      ...east,
    );
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('connectionHealthCheck.intervalSeconds: 1 -> 2'),
    });
    expect(losses(reports)).toEqual(NONE);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '1m', ...sandbox.kubeconfig);
  }, 400_000);

  test('stopped in the middle it can be taken back; nobody else changes the cluster meanwhile', async () => {
    const before = running();
    const wrong = ['--image-override', 'submariner-gateway=registry.example/nothing:1'];
    const child = sandbox.start(['upgrade', '--yes', ...wrong, ...east]);
    let said = '';
    let others: Promise<readonly Finished[]> | undefined;
    child.stderr?.on('data', (text: Buffer) => {
      said += text.toString();
      if (!said.includes('ErrImagePull')) return;
      const join = ['join', 'broker-info.subm', '--yes', '--health-check-interval', '3', ...east];
      others ??= Promise.all([sandbox.run('upgrade', '--yes', ...east), sandbox.run(...join)]).finally(() =>
        child.kill('SIGINT'),
      );
    });
    const outcome = await finished(child);
    expect(outcome).toMatchObject({ code: 130, stderr: expect.stringContaining('was interrupted') });
    const refused = {
      code: 1,
      stderr: expect.stringMatching(/is being changed by .* \(subctl upgrade, \w+\) since 20/),
    };
    expect(await others).toMatchObject([refused, refused]);
    expect((await sandbox.run('diff', ...east)).code).toBe(1);
    await sandbox.ok('upgrade', '--rollback', '--yes', ...east);
    expect(running()).toEqual(before);
    await sandbox.ok('diff', ...east);
  }, 400_000);
});
