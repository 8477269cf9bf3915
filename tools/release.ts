// Run by `npm version`: names the new version where a person reads it, in CHANGELOG.md and in the pages of docs/.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The changelog with its newest section named after the version and the day; throws when nothing has changed since the last. */
export function releasedChangelog(text: string, version: string, day: string): string {
  const heading = /^## (?:Unreleased|\S+ \(unreleased\))$/m;
  if (!heading.test(text)) throw new Error('CHANGELOG.md has no section "## Unreleased": there is nothing to release');
  return text.replace(heading, `## ${version} (${day})`);
}

/** A page with the names of the package and the tags of our own images as they are in that version. */
export function releasedPage(text: string, version: string): string {
  return text
    .replaceAll(/(localhost\/subctl\/[\w-]+):\d+\.\d+\.\d+[\w.-]*/g, `$1:${version}`)
    .replaceAll(/\bsubctl-\d+\.\d+\.\d+[\w.-]*?\.tgz/g, `subctl-${version}.tgz`)
    .replaceAll(/(--repository registry\.example\S* --version) \d+\.\d+\.\d+[\w.-]*/g, `$1 ${version}`);
}

/** Rewrites the files of a work tree whose package.json has the new version already. */
export function release(root: string, day: string): void {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { readonly version: string };
  const rewrite = (file: string, change: (text: string) => string): void =>
    writeFileSync(file, change(readFileSync(file, 'utf8')));
  rewrite(path.join(root, 'CHANGELOG.md'), (text) => releasedChangelog(text, version, day));
  const pages = readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'));
  for (const page of ['../README.md', ...pages])
    rewrite(path.join(root, 'docs', page), (text) => releasedPage(text, version));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  release(fileURLToPath(new URL('..', import.meta.url)), new Date().toISOString().slice(0, 10));
}
