import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { licensesText, packageFolders } from '../../tools/licenses.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(path.join(tmpdir(), 'subctl-licences-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function install(folder: string, manifest: object, files: Readonly<Record<string, string>> = {}): string {
  mkdirSync(path.join(directory, folder), { recursive: true });
  const all = { 'package.json': JSON.stringify(manifest), ...files };
  for (const [name, text] of Object.entries(all)) writeFileSync(path.join(directory, folder, name), text);
  return folder;
}

describe('the licences of a bundle', () => {
  test('are those of the packages its files are in, nested ones too', () => {
    expect(
      packageFolders([
        'src/cli.ts',
        'node_modules/@a/b/lib/x.js',
        'node_modules/c/index.js',
        'node_modules/c/node_modules/d/deep/y.js',
        'node_modules/c/other.js',
        'builtin:fs',
      ]),
    ).toEqual(['node_modules/@a/b', 'node_modules/c', 'node_modules/c/node_modules/d']);
  });

  test('come with their texts, each package once', () => {
    const folders = [
      install('b', { name: 'b', version: '2.0.0', license: 'MIT' }, { 'LICENSE.md': 'b may be used', NOTICE: 'see b' }),
      install('x/b', { name: 'b', version: '2.0.0', license: 'MIT' }, { license: 'b may be used' }),
      install('a', { name: '@s/a', version: '1.0.0', license: '(GPL-3.0 OR ISC)', author: { name: 'Somebody' } }),
    ];
    const text = licensesText(directory, folders);
    expect(text).toContain('  @s/a 1.0.0 ((GPL-3.0 OR ISC))\n  b 2.0.0 (MIT)\n\n');
    expect(text).toMatch(/b may be used\n\nsee b|b may be used/);
    expect(text).toContain('By Somebody; no text of the licence');
  });

  test.each(['GPL-3.0', 'MIT AND GPL-3.0', 'SEE LICENSE IN x', undefined])(
    'are refused when they are not allowed: %s',
    (license) => {
      const folder = install('g', { name: 'g', version: '3.0.0', license });
      expect(() => licensesText(directory, [folder])).toThrow(`g 3.0.0 (${license ?? 'none'})`);
    },
  );
});

test('what the build wrote names every package that the sources import', () => {
  const text = readFileSync(path.join(ROOT, 'dist/LICENSES.txt'), 'utf8');
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const imported = sources.flatMap((name) =>
    [
      ...readFileSync(path.join(ROOT, 'src', name), 'utf8').matchAll(
        /^(?:import|export) (?!type\b).* from '([^.'][^']*)'|import\('([^.'][^']*)'\)/gm,
      ),
    ].map((match) => match[1] ?? match[2] ?? ''),
  );
  const packages = new Set(
    imported.filter((name) => !name.startsWith('node:')).map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)![0]),
  );
  expect(packages.size).toBeGreaterThan(6);
  for (const name of packages) {
    const manifest = readFileSync(path.join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
    const { version, license } = JSON.parse(manifest) as Readonly<Record<string, string>>;
    expect(text).toContain(`  ${name} ${version} (${license})\n`);
  }
});
