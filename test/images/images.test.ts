import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { renderContainersConf } from '../../src/sandbox/podman/containersconf.ts';
import { machineFacts } from '../../src/sandbox/podman/machine.ts';
import { TestSandbox, eventually } from '../e2e/subctl.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string };
const folder = mkdtempSync(path.join(tmpdir(), 'images-test-'));
const env = { ...process.env, CONTAINERS_CONF: path.join(folder, 'containers.conf') };
const NO_SHELL = 'localhost/subctl-test-no-shell';

beforeAll(() => writeFileSync(env.CONTAINERS_CONF, renderContainersConf(machineFacts())));

afterAll(() => {
  for (const image of ['submariner-gateway', 'submariner-route-agent']) {
    spawnSync('podman', ['rmi', '--force', `${NO_SHELL}/${image}:${version}`], { env });
  }
  rmSync(folder, { recursive: true, force: true });
});

function podman(...args: readonly string[]): string {
  return execFileSync('podman', [...args], { encoding: 'utf8', env });
}

const ofImage = (image: string): string => `localhost/subctl/${image}:${version}`;

/** Images with everything but a shell, so that whatever needs one fails. */
function withoutShell(image: string): void {
  const file = path.join(folder, 'Containerfile');
  const shells = '["/usr/bin/rm", "-f", "/bin/sh", "/bin/dash", "/bin/bash", "/bin/rbash"]';
  writeFileSync(file, `FROM ${ofImage(image)}\nUSER 0\nRUN ${shells}\n`);
  podman(
    'build',
    '--quiet',
    '--network=none',
    '--pull=never',
    '-t',
    `${NO_SHELL}/${image}:${version}`,
    '-f',
    file,
    folder,
  );
}

interface Inspected {
  readonly Size: number;
  readonly Config: { readonly Labels: Readonly<Record<string, string>>; readonly Entrypoint: readonly string[] };
  readonly RootFS: { readonly Layers: readonly string[] };
}

describe('the images', () => {
  const inspect = (image: string): Inspected =>
    (JSON.parse(podman('image', 'inspect', ofImage(image))) as readonly Inspected[])[0]!;

  test.each([
    ['submariner-gateway', 230],
    ['submariner-route-agent', 200],
  ])('%s takes no more than %d MB unpacked, is labelled, and shares the layers of the base', (image, most) => {
    const { Size, Config, RootFS } = inspect(image);
    expect(Size / 1e6).toBeLessThanOrEqual(most);
    expect(Config.Labels).toMatchObject({
      'org.opencontainers.image.title': image,
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    });
    const base = inspect('subctl-base').RootFS.Layers;
    expect(RootFS.Layers.slice(0, base.length)).toEqual(base);
  });

  test.each(['submariner-gateway', 'submariner-route-agent', 'subctl'])('%s tells what is in it', (image) => {
    const label = inspect(image).Config.Labels['io.submariner.subctl.sbom'] ?? '';
    const text = podman('run', '--rm', '--network=none', '--entrypoint=cat', ofImage(image), label);
    const bom = JSON.parse(text) as { readonly components: readonly { readonly purl: string }[] };
    const purls = bom.components.map(({ purl }) => purl);
    const installed = podman(
      'run',
      '--rm',
      '--network=none',
      '--entrypoint=dpkg-query',
      ofImage(image),
      '-W',
      '-f',
      '${Package} ',
    );
    const named = purls.flatMap((purl) => /^pkg:deb\/debian\/([^@]+)@/.exec(purl)?.[1] ?? []);
    expect(named.sort()).toEqual(installed.trim().split(' ').sort());
    expect(purls).toEqual(
      expect.arrayContaining([expect.stringMatching(/^pkg:npm\//), expect.stringMatching(/nodejs@24/)]),
    );
  });

  test('no program in them gains rights by being called', () => {
    for (const image of ['submariner-gateway', 'submariner-route-agent', 'subctl']) {
      const find = ['/', '-xdev', '-type', 'f', '-perm', '/6000'];
      expect(podman('run', '--rm', '--network=none', '--user=0', '--entrypoint=find', ofImage(image), ...find)).toBe(
        '',
      );
    }
  });

  test('subctl runs from its image as anybody, with a root that is read-only', () => {
    const said = podman('run', '--rm', '--network=none', '--read-only', '--cap-drop=ALL', ofImage('subctl'), 'version');
    expect(said).toContain(version);
  });
});

describe('a sandbox whose daemons run from the images', () => {
  const sandbox = new TestSandbox();
  const kube = (...args: readonly string[]): string =>
    sandbox.kubectl('--context', 'east', '-n', 'submariner-operator', ...args);
  const podOf = (app: string): string =>
    kube('get', 'pods', '-l', `app=${app}`, '-o', 'jsonpath={.items[0].metadata.name}');
  const left = (): readonly string[] => [
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(sandbox.root)),
    ...readdirSync('/sys/fs/cgroup').filter((name) =>
      existsSync(`/sys/fs/cgroup/${name}/subctl-sandbox-${sandbox.name}`),
    ),
    ...podman('ps', '--all', '--quiet').split('\n').filter(Boolean),
  ];
  const join = async (cluster: string, driver: string): Promise<string> => {
    const identity = ['--context', cluster, '--clusterid', cluster, '--gateway-nodes', `${cluster}-1`];
    const images = ['--repository', NO_SHELL, '--cable-driver', driver, '--yes'];
    return sandbox.ok('join', 'broker-info.subm', ...identity, ...images, '--timeout', '3m', ...sandbox.kubeconfig);
  };

  beforeAll(async () => {
    for (const image of ['submariner-gateway', 'submariner-route-agent']) withoutShell(image);
    await sandbox.sandbox('up', '--runtime', 'podman', '--nodes', '2');
    await sandbox.ok('deploy-broker', '--context', 'east', ...sandbox.kubeconfig);
    for (const cluster of ['east', 'west']) await join(cluster, 'ipsec');
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '3m', ...sandbox.kubeconfig);
  }, 600_000);

  afterAll(() => sandbox.dispose(), 60_000);

  test('carries every kind of traffic without a shell in the images', async () => {
    const table = await sandbox.ok('verify', '--context', 'east', '--tocontext', 'west', ...sandbox.kubeconfig);
    expect(table).toMatch(/ ok /);
    expect(() => kube('exec', podOf('submariner-gateway'), '--', 'sh', '-c', 'true')).toThrow();
  }, 180_000);

  test.each([
    ['submariner-gateway', 0x3400],
    ['submariner-routeagent', 0x3000],
  ])('%s has the capabilities of its manifest and nothing else', (app, mask) => {
    const status = kube('exec', podOf(app), '--', 'cat', '/proc/1/status');
    const value = (field: string): number =>
      Number.parseInt(new RegExp(`^${field}:\\s*(\\w+)$`, 'm').exec(status)?.[1] ?? '', 16);
    for (const field of ['CapPrm', 'CapEff', 'CapBnd']) expect(value(field)).toBe(mask);
    expect(status).toMatch(/^NoNewPrivs:\s*1$/m);
    expect(status).toMatch(/^Seccomp:\s*2$/m);
    expect(() => kube('exec', podOf(app), '--', 'touch', '/usr/local/bin/x')).toThrow('Read-only file system');
    expect(() => kube('exec', podOf(app), '--', 'sysctl', '-w', 'net.ipv4.ip_forward=1')).toThrow('permission denied');
  });

  test('nothing that the daemons wanted to set was refused', () => {
    const told = JSON.parse(kube('exec', podOf('submariner-gateway'), '--', 'engine', '--debug-state')) as {
      readonly problems: readonly unknown[];
    };
    expect(told.problems).toEqual([]);
    const agent = JSON.parse(kube('exec', podOf('submariner-routeagent'), '--', 'routeagent', '--debug-state')) as {
      readonly problems: readonly unknown[];
    };
    expect(agent.problems).toEqual([]);
  });

  test('an engine that is killed is started again by its node, and connects again', async () => {
    await sandbox.sandbox('fault', 'east', 'east-1', '--kill-process', 'engine');
    const restarts = (): string =>
      kube(
        'get',
        'pod',
        podOf('submariner-gateway'),
        '-o',
        'jsonpath={.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}',
      );
    await eventually(restarts, (seen) => seen === '1 true', 60_000);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '2m', ...sandbox.kubeconfig);
  }, 200_000);

  test('a node that loses its power comes back with its containers', async () => {
    const count = 'jsonpath={.items[0].status.containerStatuses[0].restartCount}';
    const west = (...args: readonly string[]): string =>
      sandbox.kubectl('--context', 'west', '-n', 'submariner-operator', ...args);
    const restarts = (): number => Number(west('get', 'pods', '-l', 'app=submariner-gateway', '-o', count));
    expect(restarts()).toBe(0);
    await sandbox.sandbox('fault', 'west', 'west-1', '--kill');
    await sandbox.sandbox('fault', 'west', 'west-1', '--heal');
    await eventually(restarts, (seen) => seen > 0, 60_000);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '3m', ...sandbox.kubeconfig);
    await sandbox.ok('verify', '--context', 'east', '--tocontext', 'west', ...sandbox.kubeconfig);
  }, 240_000);

  test.each(['wireguard', 'vxlan'])(
    '%s works with the same rights',
    async (driver) => {
      for (const cluster of ['east', 'west']) await join(cluster, driver);
      await sandbox.ok('show', 'connections', '--wait', '--timeout', '3m', ...sandbox.kubeconfig);
      await sandbox.ok('verify', '--context', 'east', '--tocontext', 'west', ...sandbox.kubeconfig);
    },
    600_000,
  );

  test('uninstalling from the images puts the nodes back', async () => {
    await sandbox.ok('uninstall', '--context', 'west', '--yes', ...sandbox.kubeconfig);
    expect(await sandbox.sandbox('exec', 'west', 'west-1', '--', 'ip', '-br', 'link')).not.toMatch(
      /vx-submariner|vxlan-tunnel/,
    );
  }, 180_000);

  test('a crash of everything leaves nothing once the sandbox is removed', async () => {
    for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      let words = '';
      try {
        words = readFileSync(`/proc/${entry}/cmdline`, 'utf8');
      } catch {
        continue;
      }
      if (words.includes('conmon') && words.includes(sandbox.root)) process.kill(Number(entry), 'SIGKILL');
    }
    await sandbox.sandbox('down');
    expect(sandbox.remains()).toEqual([]);
    expect(left()).toEqual([]);
    expect(podman('images', '--quiet', ofImage('submariner-gateway'))).not.toBe('');
  }, 60_000);
});

test('without the images the command that builds them is named', async () => {
  const sandbox = new TestSandbox();
  const store = path.join(folder, 'empty.conf');
  writeFileSync(store, `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/store"\nrunroot = "${folder}/run"\n`);
  process.env['CONTAINERS_STORAGE_CONF'] = store;
  try {
    const run = spawnSync(
      path.resolve('bin/subctl'),
      ['sandbox', 'up', '--name', sandbox.name, '--runtime', 'podman'],
      {
        encoding: 'utf8',
        env: { ...process.env, SUBCTL_SANDBOX_DIR: path.join(sandbox.root, 'state') },
      },
    );
    expect(run.status).toBe(1);
    expect(run.stderr).toContain(`there is no image ${ofImage('submariner-gateway')}`);
    expect(run.stderr).toContain('npm run images');
  } finally {
    delete process.env['CONTAINERS_STORAGE_CONF'];
    await sandbox.dispose();
  }
}, 60_000);
