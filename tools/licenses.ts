// The licences of what is bundled: dist/LICENSES.txt, written by the build.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** Licences that let us ship the work in a bundle under Apache-2.0, with their text beside it. */
const ALLOWED = new Set(
  '0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause BlueOak-1.0.0 CC0-1.0 ISC MIT PSF-2.0 Python-2.0 Unlicense'.split(' '),
);

interface Package {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly author?: string | { readonly name?: string };
}

/** The folders of npm packages, relative to the root, that files of a bundle are in. */
export function packageFolders(files: readonly string[]): readonly string[] {
  const folders = files.flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)].sort();
}

/** All packages with the text of their licences; throws when one has none or one that is not allowed. */
export function licensesText(root: string, folders: readonly string[]): string {
  const packages = folders.map((folder) => {
    const { name, version, license = 'none', author = {} } = readPackage(path.join(root, folder, 'package.json'));
    const by = typeof author === 'string' ? author : (author.name ?? 'its package.json does not say whom');
    return {
      title: `${name} ${version}`,
      license,
      text: licenceText(path.join(root, folder)) ?? `By ${by}; no text of the licence comes with it.`,
    };
  });
  const refused = packages.filter(({ license }) => !isAllowed(license));
  if (refused.length > 0) {
    const list = refused.map(({ title, license }) => `${title} (${license})`).join(', ');
    throw new Error(`licences that are not allowed in the bundles (tools/licenses.ts): ${list}`);
  }
  const unique = [...new Map(packages.map((one) => [one.title, one])).values()];
  const sorted = unique.sort((a, b) => (a.title < b.title ? -1 : 1));
  const parts = sorted.map(
    ({ title, license, text }) => `${'-'.repeat(80)}\n${title} (${license})\n\n${text.trim()}\n`,
  );
  const index = sorted.map(({ title, license }) => `  ${title} (${license})\n`);
  return `What the bundles of subctl hold from others. Its own licence is in LICENSE.\n\n${index.join('')}\n${parts.join('\n')}`;
}

function readPackage(file: string): Package {
  return JSON.parse(readFileSync(file, 'utf8')) as Package;
}

/** An SPDX expression: each part that must hold is allowed; of alternatives one is enough. */
function isAllowed(license: string): boolean {
  const alternatives = license.replaceAll(/[()]/g, '').split(' OR ');
  return alternatives.some((one) => one.split(' AND ').every((name) => ALLOWED.has(name.trim())));
}

function licenceText(folder: string): string | undefined {
  const names = readdirSync(folder).filter((name) => /^(?:licen[cs]e|copying|notice)/i.test(name));
  const texts = names.sort().map((name) => readFileSync(path.join(folder, name), 'utf8').trim());
  return texts.length === 0 ? undefined : texts.join('\n\n');
}
