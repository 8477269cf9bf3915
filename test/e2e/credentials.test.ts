import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import { eventually, TestSandbox } from './subctl.ts';
import { withTraffic } from './traffic.ts';

const OURS = 'submariner-operator';
const BROKER = 'submariner-k8s-broker';

describe.each(['ipsec', 'wireguard'] as const)('credentials with traffic flowing (%s)', (driver) => {
  const sandbox = new TestSandbox();
  const files = sandboxFiles(path.join(sandbox.root, 'state'), sandbox.name);
  const contexts = ['--contexts', 'east,west'] as const;
  /** Every secret there ever was, as bytes. */
  const secrets = new Set<string>();

  const secretOf = (cluster: string, name: string, key: string): string =>
    sandbox.kubectl('--context', cluster, '-n', OURS, 'get', 'secret', name, '-o', `jsonpath={.data.${key}}`);

  const collect = (): void => {
    for (const cluster of ['east', 'west']) {
      secrets.add(secretOf(cluster, 'submariner-ipsec-psk', 'psk'));
      secrets.add(secretOf(cluster, 'submariner-broker-secret', 'token'));
    }
    collectFiles();
  };

  const collectFiles = (): void => {
    for (const file of readdirSync(sandbox.root).filter((name) => name.endsWith('.subm'))) {
      const info = Buffer.from(readFileSync(path.join(sandbox.root, file), 'utf8'), 'base64url').toString();
      const { ClientToken, IPSecPSK } = JSON.parse(info) as Record<string, { readonly data: Record<string, string> }>;
      secrets.add(ClientToken!.data['token']!);
      secrets.add(IPSecPSK!.data['psk']!);
    }
  };

  beforeAll(async () => {
    await sandbox.sandbox('up');
    await sandbox.ok('deploy-broker', '--context', 'east', ...sandbox.kubeconfig);
    await sandbox.ok('broker-info', 'create', '--clusterid', 'west', ...sandbox.kubeconfig);
    collectFiles();
    const join = async (cluster: string, file: string): Promise<string> => {
      const identity = ['--context', cluster, '--clusterid', cluster, '--gateways', '1', '--cable-driver', driver];
      return sandbox.ok('join', file, ...identity, ...sandbox.kubeconfig);
    };
    await Promise.all([join('east', 'broker-info.subm'), join('west', 'join-west.subm')]);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '2m', ...sandbox.kubeconfig);
    collect();
  }, 300_000);

  afterAll(() => sandbox.dispose(), 60_000);

  test('new keys and new credentials, and not a packet is lost', async () => {
    const before = secretOf('west', 'submariner-ipsec-psk', 'psk');
    const { reports, diagnosed } = await withTraffic(sandbox, files, async () => {
      await sandbox.ok('credentials', 'rotate', '--psk', ...contexts, ...sandbox.kubeconfig);
      collect();
      await sandbox.ok('credentials', 'rotate', '--broker-token', '--context', 'west', ...sandbox.kubeconfig);
      collect();
      // Rejects when anything differs.
      await sandbox.ok('diff', 'broker-info.subm', ...contexts, ...sandbox.kubeconfig);
      await sandbox.ok('show', 'connections', '--wait', '--timeout', '1m', ...sandbox.kubeconfig);
      return { diagnosed: await sandbox.run('diagnose', 'broker', ...contexts, ...sandbox.kubeconfig) };
    });
    const seen = reports.map(({ udp, tcp }) => ({ lost: udp.lost, resets: tcp.resets.length, some: udp.sent > 100 }));
    expect(seen).toEqual(reports.map(() => ({ lost: 0, resets: 0, some: true })));
    const after = ['east', 'west'].map((cluster) => secretOf(cluster, 'submariner-ipsec-psk', 'psk'));
    expect(new Set(after).size).toBe(1);
    expect(after[0]).not.toBe(before);
    expect(secretOf('west', 'submariner-ipsec-psk', 'psk-previous')).toBe('');
    expect(diagnosed.code === 0 ? '' : `${diagnosed.stdout}${diagnosed.stderr}`).toBe('');
  }, 300_000);

  test('no secret is in a process, an environment, a log, an object or an archive', async () => {
    collect();
    await sandbox.ok('gather', '--dir', path.join(sandbox.root, 'gathered'), ...contexts, ...sandbox.kubeconfig);
    const places = [...processes(sandbox.root), ...filesIn(sandbox.root), ...objects()];
    expect(places.filter(([where]) => where.startsWith('process ')).length).toBeGreaterThan(6);
    expect(places.filter(([where]) => where.endsWith('.log')).length).toBeGreaterThan(2);
    expect(places.filter(([where]) => /gathered/.test(where)).length).toBeGreaterThan(0);
    const forms = [...secrets].filter((one) => one !== '').flatMap(formsOf);
    expect(secrets.size).toBeGreaterThan(5);
    const found = places.flatMap(([where, text]) =>
      forms.filter(([, form]) => text.includes(form)).map(([kind]) => `${kind} in ${where}`),
    );
    expect([...new Set(found)]).toEqual([]);
  }, 120_000);

  test('a revoked cluster is cut off at once', async () => {
    await sandbox.ok('credentials', 'revoke', 'west', '--yes', ...sandbox.kubeconfig);
    const connections = async (): Promise<unknown> => {
      const { stdout } = await sandbox.run(
        'show',
        'connections',
        '--context',
        'east',
        '-o',
        'json',
        ...sandbox.kubeconfig,
      );
      return (JSON.parse(stdout) as { readonly items: readonly unknown[] }).items.length;
    };
    await eventually(connections, (count) => count === 0, 30_000);
    const left = sandbox.kubectl('--context', 'east', '-n', BROKER, 'get', 'endpoints.submariner.io', '-o', 'name');
    expect(left.trim().split('\n')).toHaveLength(1);
    const gateway = (): string =>
      sandbox.kubectl(
        '--context',
        'west',
        '-n',
        OURS,
        'get',
        'gateways.submariner.io',
        '-o',
        'jsonpath={.items[0].status.statusFailure}',
      );
    await eventually(gateway, (text) => text.includes('does not accept the credential of cluster-west'), 90_000);
  }, 180_000);

  function objects(): readonly (readonly [string, string])[] {
    return ['east', 'west'].flatMap((cluster) => {
      const kinds = sandbox
        .kubectl('--context', cluster, 'api-resources', '--verbs', 'list', '-o', 'name')
        .split('\n')
        .filter((kind) => kind !== '' && kind !== 'secrets');
      expect(kinds.length).toBeGreaterThan(20);
      const text = sandbox.kubectl('--context', cluster, 'get', kinds.join(','), '-A', '-o', 'json');
      return [[`objects of ${cluster}`, text] as const];
    });
  }
});

/** A secret (base64) as it may turn up. */
function formsOf(base64: string): readonly (readonly [string, string])[] {
  const bytes = Buffer.from(base64, 'base64');
  const text = bytes.toString('utf8');
  const kind = text.startsWith('eyJ') ? 'token' : 'key';
  const forms = [
    base64.replace(/=+$/, ''),
    bytes.toString('hex'),
    Buffer.from(base64).toString('base64').replace(/=+$/, ''),
  ];
  return [...forms, ...(kind === 'token' ? [text.trim()] : [])].map((form) => [kind, form] as const);
}

/** Arguments and environments of all processes that belong to a sandbox, but those of commands that were given a file. */
function processes(root: string): readonly (readonly [string, string])[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
        if (!`${args}${environment}`.includes(root)) return [];
        return [[`process ${args.replaceAll('\0', ' ').slice(0, 100)}`, `${args}${environment}`] as const];
      } catch {
        return [];
      }
    });
}

/** Logs and archives below a folder; not the files that are there to hold secrets. */
function filesIn(folder: string): readonly (readonly [string, string])[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => file.endsWith('.log') || file.includes('gathered') || /\.(?:tgz|tar\.gz)$/.test(file))
    .map((file) => {
      const bytes = readFileSync(file);
      return [file, (/\.(?:tgz|gz)$/.test(file) ? gunzipSync(bytes) : bytes).toString('latin1')] as const;
    });
}
