import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pod, Volume } from '../../../src/kube/objects.ts';
import type { PodFacts, PodObjects } from '../../../src/sandbox/pods/environment.ts';
import { mountWords, type Locate, type Mount } from '../../../src/sandbox/pods/mounts.ts';
import { ACCOUNT_DIR, mountsOf, volumeFiles, volumesOf, writeVolume } from '../../../src/sandbox/pods/volumes.ts';

const base: Pod = { metadata: { name: 'p', namespace: 'ns' }, spec: { containers: [{ name: 'c' }] } };
const facts: PodFacts = { pod: base, podIP: '', hostIP: '', nodeName: '', apiHost: '', apiPort: 0 };
const objects: PodObjects = {
  secret: async (name) => (name === 's' ? { metadata: { name }, data: { a: 'YQ==', b: 'Yg==' } } : undefined),
  configMap: async (name) =>
    name === 'kube-root-ca.crt' || name === 'm' ? { metadata: { name }, data: { 'ca.crt': 'CA' } } : undefined,
};
const files = async (volume: Omit<Volume, 'name'>) => {
  const found = await volumeFiles(
    { name: 'v', ...volume },
    facts,
    objects,
    async (audience, seconds) => `${audience}/${seconds}`,
  );
  return found === undefined
    ? undefined
    : Object.fromEntries(found.map((one) => [one.path, `${one.mode.toString(8)} ${one.content.toString()}`]));
};

describe('the files of a volume', () => {
  test('of a secret are its keys, or the items asked for', async () => {
    expect(await files({ secret: { secretName: 's', defaultMode: 0o400 } })).toEqual({ a: '400 a', b: '400 b' });
    const items = [{ key: 'b', path: 'deep/c', mode: 0o600 }];
    expect(await files({ secret: { secretName: 's', items } as Volume['secret'] & object })).toEqual({
      'deep/c': '600 b',
    });
  });

  test('of a service account are token, CA and namespace', async () => {
    const [account] = volumesOf(base);
    expect(await files(account!)).toEqual({ token: '644 undefined/3607', 'ca.crt': '644 CA', namespace: '644 ns' });
  });

  test('are none for a directory, and a problem for what is missing', async () => {
    expect(await files({ emptyDir: {} })).toBeUndefined();
    expect(await files({ secret: { secretName: 'none', optional: true } })).toEqual({});
    await expect(files({ secret: { secretName: 'none' } })).rejects.toThrow('secret "none" not found');
    await expect(
      files({ configMap: { name: 'm', items: [{ key: 'x', path: 'x' }] } as Volume['configMap'] & object }),
    ).rejects.toThrow('configmap "m" has no key x');
  });

  test('the service account is added where the API server has not, unless it is not wanted', () => {
    const container = { name: 'c', volumeMounts: [{ name: 'kube-api-access-x', mountPath: ACCOUNT_DIR }] };
    const injected: Pod = { ...base, spec: { containers: [container], volumes: [{ name: 'kube-api-access-x' }] } };
    expect(volumesOf(injected)).toEqual([{ name: 'kube-api-access-x' }]);
    expect(mountsOf(injected, container)).toHaveLength(1);
    expect(mountsOf(base, { name: 'c' })[0]?.mountPath).toBe(ACCOUNT_DIR);
    const without: Pod = { ...base, spec: { ...base.spec, automountServiceAccountToken: false } };
    expect(volumesOf(without)).toEqual([]);
  });
});

describe('writing a volume', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'subctl-volume-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const file = (name: string, text: string, mode = 0o644) => ({ path: name, content: Buffer.from(text), mode });

  test('makes it hold exactly its files and replaces only what differs', () => {
    writeFileSync(path.join(dir, 'old'), 'x');
    writeVolume(dir, [file('a', '1'), file('deep/b', '2', 0o600)]);
    expect([...readdirSync(dir)].sort()).toEqual(['a', 'deep']);
    const before = statSync(path.join(dir, 'a')).ino;
    writeVolume(dir, [file('a', '1'), file('deep/b', '3', 0o600)]);
    expect(statSync(path.join(dir, 'a')).ino).toBe(before);
    expect(readFileSync(path.join(dir, 'deep/b'), 'utf8')).toBe('3');
    expect(statSync(path.join(dir, 'deep/b')).mode & 0o777).toBe(0o600);
  });

  test('never writes outside', () => {
    writeVolume(dir, [file('../../escape', 'x')]);
    expect(readdirSync(dir)).toEqual(['escape']);
  });
});

describe('mounts', () => {
  const existing = ['/', '/run', '/var', '/var/lib', '/etc', '/etc/ssl'];
  const locate: Locate = (target) => {
    const real = target.replace(/^\/var\/run/, '/run');
    const found =
      existing
        .filter((one) => real === one || real.startsWith(one === '/' ? '/' : `${one}/`))
        .sort()
        .at(-1) ?? '/';
    return { existing: found, rest: real.slice(found === '/' ? 0 : found.length) };
  };
  const mount = (target: string, change: Partial<Mount> = {}): Mount => ({
    source: `./${target}`,
    target,
    readOnly: false,
    kind: 'directory',
    ...change,
  });
  const words = (...mounts: readonly Mount[]) => mountWords(mounts, locate).join(' ');

  test('are made in the private /run, over what exists, or in an overlay over the nearest directory that does', () => {
    expect(words(mount('/var/run/secrets/x', { readOnly: true }))).toBe(
      'directory /run/secrets/x bind-read-only .//var/run/secrets/x /run/secrets/x',
    );
    expect(words(mount('/etc/ssl'))).toBe('bind .//etc/ssl /etc/ssl');
    expect(words(mount('/var/lib/new/deep', { kind: 'file' }))).toBe(
      'overlay 0 /var/lib file /var/lib/new/deep bind .//var/lib/new/deep /var/lib/new/deep',
    );
  });

  test('do not hide each other, and share an overlay', () => {
    expect(words(mount('/var/lib/a/b'), mount('/var/lib/a'), mount('/etc/x'))).toBe(
      'overlay 0 /etc overlay 1 /var/lib directory /etc/x bind .//etc/x /etc/x directory /var/lib/a bind .//var/lib/a /var/lib/a directory /var/lib/a/b bind .//var/lib/a/b /var/lib/a/b',
    );
  });

  test('are refused where this machine would get a new directory', () => {
    expect(() => words(mount('/data'))).toThrow('cannot mount at /data');
  });
});
