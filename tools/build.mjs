// Bundles every entry of the product into dist/: one file an entry, client-node as a file of its own that only the
// commands which need a kubeconfig load. Prints the sizes.
import { build } from 'esbuild';
import { builtinModules } from 'node:module';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { licensesText, packageFolders } from './licenses.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { version, engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const wanted = engines.node.replace(/[^\d.]/g, '');

// CommonJS dependencies call require(); the version check speaks before any newer syntax or API can fail.
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);
{ const have = process.versions.node.split('.').map(Number), want = '${wanted}'.split('.').map(Number);
  if (have[0] < want[0] || (have[0] === want[0] && have[1] < want[1])) {
    process.stderr.write('Error: Node.js ${wanted} or newer is needed, this is ' + process.versions.node + '\\n'); process.exit(1); } }`;

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
      kind === 'require-call' ? undefined : { path: name.replace(/^node:/, ''), namespace: 'builtin' },
    );
    builder.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(`node:${name}`)})`,
      loader: 'js',
    }));
  },
};

function contentsOf({ from, start, library, exported = '*' }) {
  const source = JSON.stringify(from.startsWith('src/') ? path.join(root, from) : from);
  if (!library) return `import { ${start} } from ${source};\nawait ${start}();`;
  return exported === '*' ? `export * from ${source};` : `export { ${exported} } from ${source};`;
}

function pluginsOf({ library, lazy }) {
  if (library) return [];
  return lazy ? [lazyClientNode, lazyPackages, lazyBuiltins] : [lazyClientNode];
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

async function bundle(entry) {
  const { out } = entry;
  const outfile = path.join(root, 'dist', `${out}.mjs`);
  const { metafile } = await build({
    absWorkingDir: root,
    stdin: { contents: contentsOf(entry), resolveDir: root, sourcefile: `${out}.entry.mjs` },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    minifySyntax: true,
    minifyWhitespace: true,
    banner: { js: banner },
    define: { 'globalThis.SUBCTL_VERSION': JSON.stringify(version) },
    plugins: pluginsOf(entry),
    logLevel: 'warning',
    legalComments: 'none',
    metafile: true,
  });
  packages[out] = packagesIn(Object.keys(metafile.inputs));
  for (const file of Object.keys(metafile.inputs)) bundled.add(file);
  return `${out}.mjs ${Math.round(statSync(outfile).size / 1024)} kB`;
}

/** What is in dist/ besides bundles. */
const OF_OTHERS = ['chart', 'LICENSES.txt'];

/** Bundles of a former layout; the others are replaced in place, so that running programs find theirs. */
function removeStale() {
  const known = new Set(['packages.json', ...entries.map(({ out }) => `${out}.mjs`), ...OF_OTHERS]);
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
