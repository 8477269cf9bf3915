import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { record } from '../runrecord.ts';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string };

/** The npm package, packed and installed into an empty folder as a user does, without a registry. */
describe('the npm package', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'subctl-package-'));
  const cache = ['--cache', path.join(directory, 'cache'), '--no-audit', '--no-fund'];
  const tarball = path.join(directory, `subctl-${version}.tgz`);
  const prefix = path.join(directory, 'global');
  const installed = path.join(prefix, 'lib/node_modules/subctl');
  const files = (): readonly string[] =>
    execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' })
      .split('\n')
      .filter((name) => name !== '')
      .map((name) => name.replace('package/', ''));
  const name = record(`t-${randomBytes(3).toString('hex')}`, directory);
  const bin = path.join(directory, 'bin');
  /** `subctl` as it is on the user's PATH, with the Node.js of `node` or none. */
  const subctl = (
    args: readonly string[],
    node = bin,
  ): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
    spawnSync(path.join(prefix, 'bin/subctl'), args, {
      encoding: 'utf8',
      cwd: directory,
      env: {
        PATH: `${node}:/usr/sbin:/usr/bin:/sbin:/bin`,
        HOME: directory,
        SUBCTL_SANDBOX_DIR: path.join(directory, 'state'),
      },
    });

  beforeAll(() => {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', directory, ...cache], { stdio: 'pipe' });
    execFileSync('npm', ['install', '--offline', '--global', '--prefix', prefix, ...cache, tarball], { stdio: 'pipe' });
    mkdirSync(bin);
    symlinkSync(process.execPath, path.join(bin, 'node'));
  }, 180_000);
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test('holds what runs, the chart, licences and docs, and nothing else', () => {
    const folders = ['templates', 'docs'];
    const expected = folders
      .flatMap((folder) =>
        readdirSync(folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => path.join(entry.parentPath, entry.name)),
      )
      .concat('README.md', 'CHANGELOG.md', 'LICENSE', 'package.json', 'bin/subctl', 'bin/engine', 'bin/routeagent');
    const [made, kept] = [
      files().filter((name) => name.startsWith('dist/')),
      files().filter((name) => !name.startsWith('dist/')),
    ];
    expect(kept.toSorted()).toEqual(expected.toSorted());
    expect(
      made.filter((name) => !name.startsWith('dist/chart/') && !/^dist\/[a-z]+(?:-[A-Z0-9]{8})?\.mjs$/.test(name)),
    ).toEqual(['dist/LICENSES.txt']);
    expect(made).toEqual(
      expect.arrayContaining(['dist/subctl.mjs', 'dist/engine.mjs', 'dist/routeagent.mjs', 'dist/chart/Chart.yaml']),
    );
    expect(readFileSync(path.join(installed, 'dist/chart/Chart.yaml'), 'utf8')).toContain(`appVersion: "${version}"`);
  });

  test('needs no other package', () => {
    expect(readdirSync(path.join(prefix, 'lib/node_modules'))).toEqual(['subctl']);
    expect(readdirSync(installed)).not.toContain('node_modules');
  });

  test('runs: version, help, an error', () => {
    expect(subctl(['version'])).toMatchObject({ status: 0, stdout: `subctl version: ${version}\n`, stderr: '' });
    expect(subctl(['join', '--help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('--helm-values') });
    const refused = subctl(['show', 'connections', '--kubeconfig', 'none']);
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('none') });
  });

  test('every file that subctl loads when it needs it can be loaded, and has what is asked of it', () => {
    const dist = path.join(installed, 'dist');
    const parts = readdirSync(dist).filter((file) => /^subctl.*\.mjs$/.test(file));
    const wanted = parts.flatMap((file) => {
      const text = readFileSync(path.join(dist, file), 'utf8');
      const asked =
        /(?:\{(?<names>[^{}]*)\}=await |\(await )import\("\.\/(?<from>[\w-]+\.mjs)"\)(?:\)\.(?<name>\w+))?/g;
      return [...text.matchAll(asked)].map(({ groups = {} }) => ({
        from: groups['from'] ?? '',
        names: groups['name'] === undefined ? namesIn(groups['names'] ?? '') : [groups['name']],
      }));
    });
    expect(wanted.length).toBeGreaterThan(30);
    const program = `
      for (const file of ${JSON.stringify(parts.filter((part) => part !== 'subctl.mjs'))}) await import('${dist}/' + file);
      for (const { from, names } of ${JSON.stringify(wanted)}) {
        const found = await import('${dist}/' + from);
        for (const name of names) if (found[name] === undefined) console.log(from + ' lacks ' + name);
      }`;
    const args = ['--input-type=module', '--eval', program];
    expect(spawnSync(process.execPath, args, { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('starts clusters and sets up a broker', () => {
    const good = (...args: readonly string[]): void => {
      const { status, stderr } = subctl(args);
      expect(status === 0 ? '' : stderr).toBe('');
    };
    try {
      good('sandbox', 'up', '--name', name, '--clusters', 'east');
      const kubeconfig = ['--kubeconfig', path.join(directory, 'state', name, 'kubeconfig')];
      good('deploy-broker', '--context', 'east', ...kubeconfig);
      good(
        'join',
        'broker-info.subm',
        '--context',
        'east',
        '--cable-driver',
        'vxlan',
        '--gateways',
        '1',
        ...kubeconfig,
      );
    } finally {
      good('sandbox', 'down', '--name', name);
    }
  }, 120_000);

  test('says what it needs when there is no Node.js', () => {
    const { status, stderr } = spawnSync('/bin/sh', [path.join(prefix, 'bin/subctl'), 'version'], {
      encoding: 'utf8',
      env: { PATH: tools(directory) },
    });
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/no program node on PATH; Node.js \S+ or newer is needed/),
    ]);
  });
});

/** What `{a,b:c,default:d}` takes out of a module. */
function namesIn(pattern: string): readonly string[] {
  return pattern.split(',').flatMap((part) => part.split(':')[0]?.trim() || []);
}

/** A folder with what the starter itself calls, and no node. */
function tools(directory: string): string {
  const folder = path.join(directory, 'tools');
  mkdirSync(folder, { recursive: true });
  for (const name of ['dirname', 'readlink']) symlinkSync(`/usr/bin/${name}`, path.join(folder, name));
  return folder;
}
