import { parseArgs } from 'node:util';

/** What `npm run images` was asked for. */
export interface ImageOptions {
  readonly engine: string | undefined;
  readonly repository: string;
  readonly tag: string;
  readonly base: string;
  readonly localBase: boolean;
  readonly noCache: boolean;
  readonly only: readonly string[];
  readonly verify: boolean;
}

/** The published image that all others begin with. */
export const DEBIAN = 'docker.io/library/debian:bookworm-slim';

export const IMAGES = ['submariner-gateway', 'submariner-route-agent', 'subctl'] as const;
export const ENGINES = ['podman', 'docker', 'buildah'] as const;

export const USAGE = `Usage: npm run images [-- options]

Builds the images that subctl join asks for, and one with subctl itself, into the storage of podman, docker or buildah.

Options:
  --engine <podman|docker|buildah>  default: the first one that works
  --repository <name>               default: localhost/subctl, as subctl join has it
  --tag <tag>                       default: the version of subctl
  --base <image>                    Debian to begin with, default: ${DEBIAN}
  --local-base                      make that image from Debian packages (debootstrap): no image registry is asked
  --only <names>                    comma-separated: ${IMAGES.join(', ')}
  --no-cache                        build every layer anew
  --verify                          build twice without cache and compare the digests
  --help

Examples:
  # From the published Debian image
  npm run images
  # Where no image registry can be reached
  npm run images -- --local-base
  # For a registry of your own, then push and join with the same names
  npm run images -- --repository registry.example/net --tag 0.1.0
`;

/** A mistake on the command line. */
export class WrongUsage extends Error {
  override readonly name = 'WrongUsage';
}

const SPEC = {
  engine: { type: 'string' },
  repository: { type: 'string', default: 'localhost/subctl' },
  tag: { type: 'string' },
  base: { type: 'string' },
  only: { type: 'string' },
  'local-base': { type: 'boolean', default: false },
  'no-cache': { type: 'boolean', default: false },
  verify: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function oneOf(flag: string, word: string, allowed: readonly string[]): string {
  if (allowed.includes(word)) return word;
  throw new WrongUsage(`${flag} ${word}: it is one of ${allowed.join(', ')}`);
}

/** The options of a command line; undefined when help is asked for. Throws WrongUsage. */
export function imageOptions(words: readonly string[], version: string): ImageOptions | undefined {
  let values;
  try {
    ({ values } = parseArgs({ args: [...words], options: SPEC, strict: true, allowPositionals: false }));
  } catch (error) {
    throw new WrongUsage(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return undefined;
  const { engine, repository, tag = version, base = DEBIAN } = values;
  if (!/^[a-z0-9][a-z0-9._/:-]*$/.test(repository)) throw new WrongUsage(`--repository ${repository} cannot name one`);
  if (!/^\w[\w.-]{0,127}$/.test(tag)) throw new WrongUsage(`--tag ${tag} cannot be a tag`);
  return {
    engine: engine === undefined ? undefined : oneOf('--engine', engine, ENGINES),
    repository,
    tag,
    base,
    localBase: values['local-base'],
    noCache: values['no-cache'],
    only: (values.only?.split(',') ?? [...IMAGES]).map((name) => oneOf('--only', name, IMAGES)),
    verify: values.verify,
  };
}
