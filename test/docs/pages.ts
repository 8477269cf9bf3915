import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the project. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** A document. */
export interface Page {
  /** Relative to the project. */
  readonly file: string;
  readonly text: string;
}

function read(file: string): Page {
  return { file, text: readFileSync(path.join(ROOT, file), 'utf8') };
}

function markdownIn(folder: string): readonly string[] {
  const names = readdirSync(path.join(ROOT, folder)).filter((name) => name.endsWith('.md'));
  return names.sort().map((name) => path.join(folder, name));
}

/** README and the user guide. */
export function guidePages(): readonly Page[] {
  return ['README.md', ...markdownIn('docs')].map(read);
}

/** Every document of the project. */
export function allPages(): readonly Page[] {
  return [...markdownIn('.'), ...markdownIn('docs'), ...markdownIn('docs/adr')].map(read);
}

/** One page. */
export function page(file: string): Page {
  return read(file);
}
