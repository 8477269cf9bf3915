// Bundles every entry of the product into dist/: one file an entry (subctl with a file for each command that it loads when
// it runs it), client-node as a file of its own that only the commands which need a kubeconfig load. Prints the sizes.
import { build } from 'esbuild';
import { builtinModules } from 'node:module';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { licensesText, packageFolders } from './licenses.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { version, engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const wanted = engines.node.replace(/[^\d.]/g, '');

const versionCheck = `{ const have = process.versions.node.split('.').map(Number), want = '${wanted}'.split('.').map(Number);
  if (have[0] < want[0] || (have[0] === want[0] && have[1] < want[1])) {
    process.stderr.write('Error: Node.js ${wanted} or newer is needed, this is ' + process.versions.node + '\\n'); process.exit(1); } }`;

// CommonJS dependencies call require(); the version check speaks before any newer syntax or API can fail.
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);
${versionCheck}`;
/** The same for a program in many files: all is in them but Node's own modules, and nothing is paid for each file. */
const lazyBanner = `${versionCheck}
const require = (name) => { const found = process.getBuiltinModule(name);
  if (found === undefined) throw Object.assign(new Error("Cannot find module '" + name + "'"), { code: 'MODULE_NOT_FOUND' });
  return found; };`;

/** Libraries (and what is used of each) that only some commands load, each a bundle of its own, so that `subctl --help` need not parse them. */
const LAZY_PACKAGES = { inquirer: 'default', execa: 'execa', ws: '*' };
const entries = [
  { out: 'subctl', from: 'src/cli.ts', start: 'main', lazy: true },
  { out: 'engine', from: 'src/engine/main.ts', start: 'main' },
  { out: 'routeagent', from: 'src/routeagent/main.ts', start: 'main' },
  { out: 'sandbox', from: 'src/sandbox/main.ts', start: 'main' },
  { out: 'clientnode', from: 'src/kube/clientnode.ts', library: true },
  ...Object.entries(LAZY_PACKAGES).map(([name, exported]) => ({ out: name, from: name, library: true, exported })),
];

/** Keeps libraries out of a bundle that loads them from the file beside it when it needs them. */
function external(filter, fileOf) {
  return {
    name: `external ${filter.source}`,
    setup: (builder) =>
      void builder.onResolve({ filter }, ({ path: name }) => ({ path: `./${fileOf(name)}.mjs`, external: true })),
  };
}
const lazyClientNode = external(/\/clientnode\.ts$/, () => 'clientnode');
const lazyPackages = external(new RegExp(`^(${Object.keys(LAZY_PACKAGES).join('|')})$`), (name) => name);

/**
 * Loads Node's own modules when the module that imports them runs, not when the bundle is loaded: what esbuild hoists of a
 * lazily imported command would otherwise be paid by `subctl --help`.
 */
const lazyBuiltins = {
  name: 'lazy-builtins',
  setup(builder) {
    const builtin = new RegExp(`^(node:.*|${builtinModules.filter((name) => !name.startsWith('_')).join('|')})$`);
    builder.onResolve({ filter: builtin }, ({ path: name, kind }) =>
      kind === 'import-statement' ? { path: name.replace(/^node:/, ''), namespace: 'builtin' } : undefined,
    );
    builder.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(`node:${name}`)})`,
      loader: 'js',
    }));
  },
};

/** In a file of its own a CommonJS library would have lost its named exports. */
const noLibraryOfItsOwn = {
  name: 'no-library-of-its-own',
  setup(builder) {
    builder.onResolve({ filter: /^[^./]/ }, ({ path: name, kind, importer }) =>
      kind !== 'dynamic-import' || name.startsWith('node:')
        ? undefined
        : {
            errors: [
              {
                text: `import('${name}') in ${importer}: import a module of ours that imports it, or add it to LAZY_PACKAGES`,
              },
            ],
          },
    );
  },
};

function contentsOf({ from, start, library, exported = '*' }) {
  const source = JSON.stringify(from.startsWith('src/') ? path.join(root, from) : from);
  if (!library) return `import { ${start} } from ${source};\nawait ${start}();`;
  return exported === '*' ? `export * from ${source};` : `export { ${exported} } from ${source};`;
}

function pluginsOf({ library, lazy }) {
  if (library) return [];
  return lazy ? [lazyClientNode, lazyPackages, lazyBuiltins, noLibraryOfItsOwn] : [lazyClientNode];
}

/** The packages of npm in each bundle, for bills of materials. */
const packages = {};

function packagesIn(files) {
  const folders = files.flatMap((file) => /^(.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
  return [...new Set(folders)]
    .sort((a, b) => (a < b ? -1 : 1))
    .map((folder) => {
      const { name, version, license = '' } = JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8'));
      return { name, version, license };
    });
}
/** Every file that is in a bundle. */
const bundled = new Set();
/** Every file that was written to dist/. */
const written = new Set();

/** Where a bundle goes: one file, or one with what it always needs and others that it loads when it needs them. */
function outputOf({ out, lazy }) {
  if (lazy !== true) return { outfile: path.join(root, 'dist', `${out}.mjs`) };
  return {
    outdir: path.join(root, 'dist'),
    outExtension: { '.js': '.mjs' },
    entryNames: out,
    chunkNames: `${out}-[hash]`,
    splitting: true,
  };
}

async function bundle(entry) {
  const { out } = entry;
  const { metafile } = await build({
    absWorkingDir: root,
    stdin: { contents: contentsOf(entry), resolveDir: root, sourcefile: `${out}.entry.mjs` },
    ...outputOf(entry),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    minifySyntax: true,
    minifyWhitespace: true,
    banner: { js: entry.lazy === true ? lazyBanner : banner },
    define: { 'globalThis.SUBCTL_VERSION': JSON.stringify(version) },
    plugins: pluginsOf(entry),
    logLevel: 'warning',
    legalComments: 'none',
    metafile: true,
  });
  packages[out] = packagesIn(Object.keys(metafile.inputs));
  for (const file of Object.keys(metafile.inputs)) bundled.add(file);
  const files = Object.entries(metafile.outputs);
  for (const [file] of files) written.add(path.basename(file));
  const kb = (bytes) => Math.round(bytes / 1024);
  const beside =
    files.length === 1
      ? ''
      : ` (in ${files.length} files ${kb(files.reduce((sum, [, { bytes }]) => sum + bytes, 0))} kB)`;
  return `${out}.mjs ${kb(metafile.outputs[`dist/${out}.mjs`].bytes)} kB${beside}`;
}

/** What is in dist/ besides bundles. */
const OF_OTHERS = ['chart', 'LICENSES.txt'];

/** Bundles of a former layout; the others are replaced in place, so that running programs find theirs. */
function removeStale() {
  const known = new Set(['packages.json', ...written, ...OF_OTHERS]);
  for (const file of readdirSync(path.join(root, 'dist'))) {
    if (!known.has(file)) rmSync(path.join(root, 'dist', file), { recursive: true });
  }
}

const only = process.argv.slice(2);
const sizes = await Promise.all(entries.filter(({ out }) => only.length === 0 || only.includes(out)).map(bundle));
if (only.length === 0) {
  const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path.join(root, 'dist', 'packages.json'), `${JSON.stringify(sorted, undefined, 1)}\n`);
  writeFileSync(path.join(root, 'dist', 'LICENSES.txt'), licensesText(root, packageFolders([...bundled])));
  removeStale();
}
console.log(`dist: ${sizes.join(', ')}`);
