// Bundles every entry of the product into dist/: one file an entry, client-node as a file of its own that only the
// commands which need a kubeconfig load. Prints the sizes.
import { build } from 'esbuild';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { version, engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
const wanted = engines.node.replace(/[^\d.]/g, '');

// CommonJS dependencies call require(); the version check speaks before any newer syntax or API can fail.
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);
{ const have = process.versions.node.split('.').map(Number), want = '${wanted}'.split('.').map(Number);
  if (have[0] < want[0] || (have[0] === want[0] && have[1] < want[1])) {
    process.stderr.write('Error: Node.js ${wanted} or newer is needed, this is ' + process.versions.node + '\\n'); process.exit(1); } }`;

const LAZY = 'clientnode';
const entries = [
  { out: 'subctl', from: 'cli.ts', start: 'main' },
  { out: 'engine', from: 'engine/main.ts', start: 'main' },
  { out: 'routeagent', from: 'routeagent/main.ts', start: 'main' },
  { out: 'sandbox', from: 'sandbox/main.ts', start: 'main' },
  { out: LAZY, from: 'kube/clientnode.ts' },
];

/** Keeps client-node out of the other bundles: they load dist/clientnode.mjs when they need it. */
const lazyClientNode = {
  name: 'lazy-client-node',
  setup(builder) {
    builder.onResolve({ filter: /\/clientnode\.ts$/ }, () => ({ path: `./${LAZY}.mjs`, external: true }));
  },
};

async function bundle({ out, from, start }) {
  const file = path.join(root, 'src', from);
  const outfile = path.join(root, 'dist', `${out}.mjs`);
  await build({
    stdin: {
      contents: start
        ? `import { ${start} } from ${JSON.stringify(file)};\nawait ${start}();`
        : `export * from ${JSON.stringify(file)};`,
      resolveDir: root,
      sourcefile: `${out}.entry.mjs`,
    },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: false,
    banner: { js: banner },
    define: { 'globalThis.SUBCTL_VERSION': JSON.stringify(version) },
    plugins: out === LAZY ? [] : [lazyClientNode],
    logLevel: 'warning',
    legalComments: 'none',
  });
  return `${out}.mjs ${Math.round(statSync(outfile).size / 1024)} kB`;
}

const only = process.argv.slice(2);
if (only.length === 0) rmSync(path.join(root, 'dist'), { recursive: true, force: true });
const sizes = await Promise.all(entries.filter((entry) => only.length === 0 || only.includes(entry.out)).map(bundle));
console.log(`dist: ${sizes.join(', ')}`);
