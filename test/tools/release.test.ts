import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { releasedChangelog, releasedPage } from '../../tools/release.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const { version, engines } = JSON.parse(textOf('package.json')) as {
  readonly version: string;
  readonly engines: { readonly node: string };
};

test('package.json has the version, and everything that names it agrees', () => {
  const lock = JSON.parse(textOf('package-lock.json')) as {
    readonly version: string;
    readonly packages: Readonly<Record<string, { readonly version?: string }>>;
  };
  expect([lock.version, lock.packages['']?.version]).toEqual([version, version]);
  const [newest] = [...textOf('CHANGELOG.md').matchAll(/^## (\d\S*)/gm)];
  expect(newest?.[1]).toBe(version);
  const pages = ['README.md', ...readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
    name.endsWith('.md'),
  );
  for (const page of pages) expect([page, releasedPage(textOf(page), version)]).toEqual([page, textOf(page)]);
});

test('the starters name the oldest Node.js that works', () => {
  const oldest = engines.node.replace('>=', '');
  for (const starter of ['subctl', 'engine', 'routeagent'])
    expect(textOf(`bin/${starter}`)).toContain(`Node.js ${oldest} or newer`);
});

test('a release names its section of the changelog and the tags of images in the docs', () => {
  const text = '# Changelog\n\n## Unreleased\n- new\n\n## 0.1.0 (2026-01-01)\n- old\n';
  expect(releasedChangelog(text, '0.2.0', '2026-02-03')).toBe(text.replace('Unreleased', '0.2.0 (2026-02-03)'));
  expect(releasedChangelog('## 0.1.0 (unreleased)\n', '0.1.0', '2026-02-03')).toBe('## 0.1.0 (2026-02-03)\n');
  expect(() => releasedChangelog('## 0.1.0 (2026-01-01)\n', '0.2.0', '2026-02-03')).toThrow('nothing to release');
  const page =
    'localhost/subctl/submariner-gateway:0.1.0, --repository registry.example/net --version 0.1.0, since 0.1.0';
  expect(releasedPage(page, '0.2.0-rc.1')).toBe(
    'localhost/subctl/submariner-gateway:0.2.0-rc.1, --repository registry.example/net --version 0.2.0-rc.1, since 0.1.0',
  );
});
