import { spawnSync } from 'node:child_process';
import { ENGINES } from './args.ts';

/** Something the operator can mend; printed without a stack. */
export class ImageTrouble extends Error {
  override readonly name = 'ImageTrouble';
  readonly hint: string;
  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** One build of one image. */
export interface Build {
  readonly file: string;
  readonly context: string;
  readonly name: string;
  /** Seconds since the epoch that every file and the image itself get. */
  readonly epoch: number;
  readonly args: Readonly<Record<string, string>>;
  readonly noCache: boolean;
  /** Whether an image that is not here may be pulled. */
  readonly pull: boolean;
}

/** What is to be known of an image. */
export interface ImageFacts {
  readonly id: string;
  readonly bytes: number;
  readonly layers: readonly string[];
}

function run(
  file: string,
  args: readonly string[],
  stdio: 'inherit' | 'pipe' = 'pipe',
): { code: number; stdout: string } {
  const done = spawnSync(file, args, {
    encoding: 'utf8',
    stdio: ['ignore', stdio, stdio],
    maxBuffer: 1 << 26,
    // Docker before 23 builds without mounts unless it is told so.
    env: { DOCKER_BUILDKIT: '1', ...process.env },
  });
  return { code: done.status ?? 127, stdout: done.stdout ?? '' };
}

function works(engine: string): boolean {
  // A docker client without a daemon is of no use; `info` asks the daemon.
  return run(engine, ['info']).code === 0;
}

/** The engine asked for, else the first that works on this machine. Throws ImageTrouble. */
export function chooseEngine(wanted: string | undefined): string {
  const found = (wanted === undefined ? ENGINES : [wanted]).find(works);
  if (found !== undefined) return found;
  const which = wanted ?? 'podman, docker or buildah';
  throw new ImageTrouble(
    `${which} does not work on this machine`,
    'apt-get install -y --no-install-recommends podman runc, or start the Docker daemon.',
  );
}

/** The command line of a build. */
export function buildWords(engine: string, build: Build): readonly string[] {
  const { file, context, name, epoch, args, noCache, pull } = build;
  const common = [
    '--file',
    file,
    '--tag',
    name,
    // A bridge would leave rules in the machine's firewall.
    '--network',
    'host',
    ...(noCache ? ['--no-cache'] : []),
    ...Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
  ];
  if (engine === 'docker') return ['build', ...common, '--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, context];
  const pulling = pull ? 'missing' : 'never';
  const pullWords = engine === 'buildah' ? [`--pull=${pull ? 'true' : 'never'}`] : [`--pull=${pulling}`];
  return ['build', '--layers', '--timestamp', String(epoch), ...pullWords, ...common, context];
}

/** Builds an image; what the engine prints is shown. Throws ImageTrouble. */
export function buildImage(engine: string, build: Build): void {
  const words = buildWords(engine, build);
  if (run(engine, words, 'inherit').code === 0) return;
  throw new ImageTrouble(
    `${engine} ${words.join(' ')} failed (above)`,
    engine === 'docker'
      ? 'Without a way to an image registry: --local-base. Docker builds these with BuildKit; clients newer than 22 need docker-buildx for it.'
      : 'Without a way to an image registry: npm run images -- --local-base',
  );
}

interface Inspected {
  readonly Id?: string;
  readonly Size?: number;
  readonly RootFS?: { readonly Layers?: readonly string[] };
  readonly FromImageID?: string;
  readonly OCIv1?: { readonly rootfs?: { readonly diff_ids?: readonly string[] } };
}

/** What the engine has under this name; undefined when there is nothing. */
export function findImage(engine: string, name: string): ImageFacts | undefined {
  const words = engine === 'buildah' ? ['inspect', '--type', 'image', name] : ['image', 'inspect', name];
  const { code, stdout } = run(engine, words);
  if (code !== 0) return undefined;
  const parsed: unknown = JSON.parse(stdout);
  const [facts = {}] = (Array.isArray(parsed) ? parsed : [parsed]) as readonly Inspected[];
  const { Id, FromImageID, Size, RootFS, OCIv1 } = facts;
  return {
    id: (Id ?? FromImageID ?? '').replace(/^sha256:/, ''),
    bytes: Size ?? buildahSize(name),
    layers: RootFS?.Layers ?? OCIv1?.rootfs?.diff_ids ?? [],
  };
}

/** `buildah inspect` has no size; its list has one for people: "218 MB". */
function buildahSize(name: string): number {
  const { stdout } = run('buildah', ['images', '--json', name]);
  const [first] = JSON.parse(stdout === '' ? '[]' : stdout) as readonly { readonly size?: string }[];
  const [, number = '0', unit = 'B'] = /^([\d.]+)\s*(\w+)/.exec(first?.size ?? '') ?? [];
  return Math.round(Number(number) * ({ B: 1, KB: 1e3, MB: 1e6, GB: 1e9 }[unit.toUpperCase()] ?? 1));
}
