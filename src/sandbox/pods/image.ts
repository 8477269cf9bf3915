import type { Container } from '../../kube/objects.ts';

/** What stands for a container image in a sandbox: a program of this machine. */
export interface ImageProgram {
  /** Program and first arguments, used when the container names no command. */
  readonly entrypoint: readonly string[];
  /** Arguments used when the container names neither command nor arguments. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Programs by the base name of the image: `quay.io/submariner/submariner-gateway:1.0` is looked up as `submariner-gateway`. */
export type ImageTable = Readonly<Record<string, ImageProgram>>;

/** The last part of an image's name, without registry, tag and digest. */
export function imageBaseName(image: string): string {
  const [name = ''] = image.split('@');
  return (name.split('/').at(-1) ?? name).replace(/:.*$/, '');
}

/** A container that cannot be started as it stands; `reason` is the word a kubelet shows for it. */
export class ContainerProblem extends Error {
  override readonly name: string = 'ContainerProblem';
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The program of a container's image; throws ContainerProblem ErrImagePull when the sandbox has none. */
export function programOf(container: Container, images: ImageTable): ImageProgram {
  const image = container.image ?? '';
  const program = images[imageBaseName(image)];
  if (program !== undefined) return program;
  throw new ContainerProblem(
    'ErrImagePull',
    `a sandbox runs programs of this machine and has none for the image "${image}"; it has: ${Object.keys(images).sort().join(', ')}`,
  );
}

/** The command line of a container before `$(NAME)` is filled in. */
export function commandOf(container: Container, program: ImageProgram): readonly string[] {
  const { command = [], args = [] } = container;
  if (command.length > 0) return [...command, ...args];
  return [...program.entrypoint, ...(args.length > 0 ? args : (program.args ?? []))];
}
