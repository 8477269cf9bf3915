import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ImageTrouble } from './engine.ts';

/** What the published slim image leaves out, and that no cache of packages stays behind. */
const DPKG_EXCLUDES = `path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
`;
const CLEAN =
  '"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true";';
const APT_CLEAN = `DPkg::Post-Invoke { ${CLEAN} };
APT::Update::Post-Invoke { ${CLEAN} };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
`;
const DROPPED = ['usr/share/man', 'usr/share/info', 'usr/share/lintian', 'usr/share/locale', 'var/lib/apt/lists'];

function mirror(pattern: RegExp): string | undefined {
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  return [...new Set((stdout ?? '').split('\n'))].sort().find((uri) => pattern.test(uri));
}

function sourcesList(suite: string): { readonly main: string | undefined; readonly text: string } {
  const main = mirror(/\/debian\/?$/);
  const security = mirror(/security\/?$/);
  const from = main ?? 'http://deb.debian.org/debian';
  const lines = [`deb ${from} ${suite} main`, `deb ${from} ${suite}-updates main`];
  if (security !== undefined) lines.push(`deb ${security} ${suite}-security main`);
  return { main, text: `${lines.join('\n')}\n` };
}

function trim(root: string, suite: string): void {
  const write = (file: string, text: string): void => {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  };
  write('etc/apt/sources.list', sourcesList(suite).text);
  write('etc/dpkg/dpkg.cfg.d/docker', DPKG_EXCLUDES);
  write('etc/apt/apt.conf.d/docker-clean', APT_CLEAN);
  write('usr/sbin/policy-rc.d', '#!/bin/sh\nexit 101\n');
  chmodSync(path.join(root, 'usr/sbin/policy-rc.d'), 0o755);
  for (const folder of DROPPED) {
    rmSync(path.join(root, folder), { recursive: true, force: true });
    mkdirSync(path.join(root, folder), { recursive: true });
  }
  for (const file of ['etc/resolv.conf', 'etc/hostname', 'etc/machine-id', 'var/log', 'var/cache/apt']) {
    rmSync(path.join(root, file), { recursive: true, force: true });
  }
  mkdirSync(path.join(root, 'var/log'), { recursive: true });
  mkdirSync(path.join(root, 'var/cache/apt/archives/partial'), { recursive: true });
  const documents = ['-mindepth', '2', '!', '-name', 'copyright', '-type', 'f', '-delete'];
  execFileSync('find', [path.join(root, 'usr/share/doc'), ...documents]);
}

/**
 * Puts a look-alike of the published Debian image, made of Debian packages only, into the engine's storage under the name
 * of the published one. Needs root and debootstrap. Throws ImageTrouble.
 */
export function makeLocalBase(engine: string, name: string): void {
  const suite = /debian:(\w+)-slim$/.exec(name)?.[1];
  if (suite === undefined) {
    throw new ImageTrouble(`--local-base cannot make ${name}`, 'It makes Debian: --base NAME/debian:SUITE-slim');
  }
  if (spawnSync('debootstrap', ['--version']).status !== 0) {
    throw new ImageTrouble('--local-base needs debootstrap', 'apt-get install -y --no-install-recommends debootstrap');
  }
  const folder = mkdtempSync(path.join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), 'subctl-base-'));
  try {
    const root = path.join(folder, 'root');
    const { main } = sourcesList(suite);
    const words = ['--variant=minbase', suite, root, ...(main === undefined ? [] : [main])];
    const { status, stdout } = spawnSync('debootstrap', words, { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (status !== 0) {
      const last = (stdout ?? '').trimEnd().split('\n').slice(-5).join('\n');
      throw new ImageTrouble(`debootstrap ${words.join(' ')} failed:\n${last}`, 'Does apt-get update work here?');
    }
    trim(root, suite);
    const tar = path.join(folder, 'base.tar');
    const outside = ['./dev/*', './proc/*', './sys/*'].map((pattern) => `--exclude=${pattern}`);
    execFileSync('tar', ['-C', root, '--numeric-owner', '--sort=name', ...outside, '-cf', tar, '.']);
    importTar(engine, tar, name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function importTar(engine: string, tar: string, name: string): void {
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  if (engine !== 'buildah') {
    execFileSync(engine, ['import', '--change', 'CMD ["bash"]', tar, name], { stdio: [...stdio] });
    return;
  }
  const container = execFileSync('buildah', ['from', 'scratch'], { encoding: 'utf8' }).trim();
  execFileSync('buildah', ['add', '--quiet', container, tar, '/'], { stdio: [...stdio] });
  execFileSync('buildah', ['config', '--cmd', 'bash', container], { stdio: [...stdio] });
  execFileSync('buildah', ['commit', '--quiet', '--rm', container, name], { stdio: [...stdio] });
}
