// `npm run chart [-- FOLDER]`: writes the Helm chart to dist/chart, or to FOLDER.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chartFiles, type Release } from './files.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { name, version, description } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Release;
const target = path.resolve(process.argv[2] ?? path.join(root, 'dist', 'chart'));
const files = chartFiles(root, { name, version, description });
for (const folder of ['crds', 'templates']) rmSync(path.join(target, folder), { recursive: true, force: true });
for (const file of files) {
  mkdirSync(path.dirname(path.join(target, file.path)), { recursive: true });
  writeFileSync(path.join(target, file.path), file.text);
}
console.log(`chart: ${files.length} files in ${path.relative(process.cwd(), target) || '.'}, version ${version}`);
