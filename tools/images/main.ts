// npm run images: the images of the daemons and of subctl, in the storage of podman, docker or buildah.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { machineFacts } from '../../src/sandbox/podman/machine.ts';
import { renderContainersConf } from '../../src/sandbox/podman/containersconf.ts';
import { imageOptions, IMAGES, USAGE, WrongUsage, type ImageOptions } from './args.ts';
import { makeContext } from './context.ts';
import { buildImage, chooseEngine, findImage, ImageTrouble, type ImageFacts } from './engine.ts';
import { makeLocalBase } from './localbase.ts';

const root = path.resolve(import.meta.dirname, '../..');
const FILES: Readonly<Record<string, string>> = {
  'submariner-gateway': 'gateway',
  'submariner-route-agent': 'routeagent',
  subctl: 'subctl',
};

function git(...args: readonly string[]): string | undefined {
  try {
    return execFileSync('git', ['-C', root, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** SOURCE_DATE_EPOCH, else the time of the last commit, else 0. */
function sourceEpoch(): number {
  const told = process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct') ?? '0';
  if (!/^\d+$/.test(told)) throw new ImageTrouble(`SOURCE_DATE_EPOCH is ${told}`, 'Give seconds since 1970.');
  return Number(told);
}

interface Work {
  readonly options: ImageOptions;
  readonly engine: string;
  readonly context: string;
  readonly version: string;
  readonly epoch: number;
}

function nameOf({ options }: Work, image: string): string {
  return `${options.repository}/${image}:${options.tag}`;
}

function buildAll(work: Work, noCache: boolean): ReadonlyMap<string, ImageFacts> {
  const { options, engine, context, version, epoch } = work;
  const base = nameOf(work, 'subctl-base');
  const common = { context, epoch, noCache };
  const file = (name: string): string => path.join(root, 'images', `Containerfile.${name}`);
  const built = [base];
  buildImage(engine, {
    ...common,
    file: file('base'),
    name: base,
    args: { DEBIAN: options.base },
    pull: !options.localBase,
  });
  const revision = git('rev-parse', 'HEAD') ?? 'unknown';
  const CREATED = new Date(epoch * 1000).toISOString().replace('.000', '');
  for (const image of options.only) {
    const name = nameOf(work, image);
    const args = { BASE: base, VERSION: version, REVISION: revision, CREATED };
    buildImage(engine, { ...common, file: file(FILES[image] ?? image), name, args, pull: false });
    built.push(name);
  }
  return new Map(
    built.map((name) => {
      const facts = findImage(engine, name);
      if (facts === undefined) throw new ImageTrouble(`${engine} does not show ${name}`, `Look at: ${engine} images`);
      return [name, facts];
    }),
  );
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function show(built: ReadonlyMap<string, ImageFacts>): void {
  const shared = [...built.values()][0]?.layers ?? [];
  const rows = [...built].map(([name, { id, bytes, layers }]) => [
    name,
    `${(bytes / 1e6).toFixed(1)} MB`,
    `${layers.filter((layer) => shared.includes(layer)).length} of ${layers.length}`,
    id.slice(0, 12),
  ]);
  console.log(`\n${table([['IMAGE', 'UNPACKED', 'LAYERS SHARED', 'ID'], ...rows])}`);
}

function different(first: ReadonlyMap<string, ImageFacts>, second: ReadonlyMap<string, ImageFacts>): readonly string[] {
  return [...first].flatMap(([name, { id, layers }]) => {
    const again = second.get(name);
    if (again?.id === id) return [];
    const at = layers.findIndex((layer, index) => again?.layers[index] !== layer);
    return [
      `${name}: ${id.slice(0, 12)} and ${(again?.id ?? '').slice(0, 12)}${at < 0 ? '' : `, layer ${at + 1} differs`}`,
    ];
  });
}

async function perform(options: ImageOptions, version: string, folder: string): Promise<void> {
  if (process.env['CONTAINERS_CONF'] === undefined) {
    process.env['CONTAINERS_CONF'] = path.join(folder, 'containers.conf');
    writeFileSync(process.env['CONTAINERS_CONF'], renderContainersConf(machineFacts()));
  }
  const engine = chooseEngine(options.engine);
  const epoch = sourceEpoch();
  const context = path.join(folder, 'context');
  if (options.localBase && findImage(engine, options.base) === undefined) {
    console.log(`Making ${options.base} of Debian packages; it is a look-alike, not the published image`);
    makeLocalBase(engine, options.base);
  }
  await makeContext(root, context, version, new Date(epoch * 1000).toISOString());
  const work: Work = { options, engine, context, version, epoch };
  const built = buildAll(work, options.noCache || options.verify);
  if (options.verify) {
    const differences = different(built, buildAll(work, true));
    show(built);
    if (differences.length > 0)
      throw new ImageTrouble(`two builds differ: ${differences.join('; ')}`, 'Compare the layers.');
    console.log('Built twice without cache: the digests are equal');
  } else {
    show(built);
  }
  const names = IMAGES.filter((image) => options.only.includes(image) && image !== 'subctl');
  if (names.length > 0 && options.repository === 'localhost/subctl') {
    console.log('\nTry them:  bin/subctl demo --runtime podman');
  }
}

async function main(): Promise<number> {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
  const folder = mkdtempSync(path.join(tmpdir(), 'subctl-images-'));
  try {
    const options = imageOptions(process.argv.slice(2), version);
    if (options === undefined) console.log(USAGE);
    else await perform(options, version, folder);
    return 0;
  } catch (error) {
    if (error instanceof WrongUsage) {
      console.error(`Error: ${error.message}\n\n${USAGE}`);
      return 2;
    }
    if (!(error instanceof ImageTrouble)) throw error;
    console.error(`Error: ${error.message}\n${error.hint}`);
    return 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
