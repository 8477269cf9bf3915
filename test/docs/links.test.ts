import { expect, test } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { allPages, guidePages, type Page, ROOT } from './pages.ts';

interface Link {
  readonly where: string;
  /** Relative to the project, without fragment. */
  readonly target: string;
  readonly fragment: string | undefined;
}

function links({ file, text }: Page): readonly Link[] {
  return [...text.matchAll(/\]\((?<href>[^)\s]+)\)/g)].flatMap(({ groups }) => {
    const href = groups?.['href'] ?? '';
    if (/^[a-z]+:/.test(href)) return [];
    const [target = '', fragment] = href.split('#');
    const absolute = target === '' ? file : path.join(path.dirname(file), target);
    return [{ where: `${file} (${href})`, target: path.normalize(absolute), fragment }];
  });
}

/** The fragments by which headings of a page are reached, as GitHub makes them. */
function fragments(text: string): ReadonlySet<string> {
  const titles = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title);
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function problem({ where, target, fragment }: Link): readonly string[] {
  const file = path.join(ROOT, target);
  if (!existsSync(file)) return [`${where}: there is no ${target}`];
  if (fragment === undefined || fragments(readFileSync(file, 'utf8')).has(fragment)) return [];
  return [`${where}: ${target} has no heading #${fragment}`];
}

test('links between documents lead somewhere', () => {
  const all = allPages().flatMap(links);
  expect(all.length).toBeGreaterThan(30);
  expect(all.flatMap(problem)).toEqual([]);
});

test('a broken link would be found', () => {
  const text = '[a](docs/nowhere.md) [b](README.md#nothing) [c](https://example.org) [d](#here)\n# Here';
  expect(links({ file: 'README.md', text }).flatMap(problem)).toEqual([
    'README.md (docs/nowhere.md): there is no docs/nowhere.md',
    'README.md (README.md#nothing): README.md has no heading #nothing',
    'README.md (#here): README.md has no heading #here',
  ]);
});

test('every page of the guide is linked to from README or, for contributors, from CONTRIBUTING', () => {
  const entrances = allPages().filter(({ file }) => ['README.md', 'CONTRIBUTING.md'].includes(file));
  const reached = new Set(entrances.flatMap(links).map(({ target }) => target));
  const pages = guidePages().map(({ file }) => file);
  expect(pages.filter((file) => file !== 'README.md' && !reached.has(file))).toEqual([]);
});
