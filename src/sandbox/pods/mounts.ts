import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { ContainerProblem } from './image.ts';

/** Something to be seen at `target` inside a container. */
export interface Mount {
  /** Relative to the node's directory, or absolute for what belongs to this machine. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly kind: 'directory' | 'file';
}

/** Splits a path into what exists (symbolic links resolved) and the rest (empty, or with a leading slash). */
export type Locate = (target: string) => { readonly existing: string; readonly rest: string };

/** Locates a path in the file system of this machine. */
export const locateOnMachine: Locate = (target) => {
  let existing = path.normalize(target).replace(/(?<=.)\/$/, '');
  let rest = '';
  while (!existsSync(existing)) {
    rest = `/${path.basename(existing)}${rest}`;
    existing = path.dirname(existing);
  }
  return { existing: realpathSync(existing), rest };
};

function isPrivate(target: string): boolean {
  return target === '/run' || target.startsWith('/run/');
}

function layerFor(mount: Mount, place: ReturnType<Locate>): string | undefined {
  const target = `${place.existing}${place.rest}`;
  if (place.rest === '' || isPrivate(target)) return undefined;
  if (place.existing !== '/') return place.existing;
  throw new ContainerProblem(
    'CreateContainerError',
    `cannot mount at ${mount.target}: a sandbox shares the root directory of this machine and makes nothing new in it; mount below /run, /var, /etc, /opt or /srv`,
  );
}

/**
 * The words of the launch script (see launch.ts) that make the mounts, in an order in which none hides another. Where
 * a target does not exist, an overlay is laid over the nearest directory that does, so that nothing is made on this
 * machine. Throws ContainerProblem for a target that is new in the root directory.
 */
export function mountWords(mounts: readonly Mount[], locate: Locate): readonly string[] {
  const placed = mounts.map((mount) => ({ mount, place: locate(mount.target) }));
  const layers = new Set(placed.map(({ mount, place }) => layerFor(mount, place)));
  layers.delete(undefined);
  const overlays = [...layers]
    .map(String)
    .sort((a, b) => a.length - b.length)
    .flatMap((directory, index) => ['overlay', String(index), directory]);
  const binds = placed
    .map(({ mount, place }) => ({ mount, place, target: `${place.existing}${place.rest}`.replace(/^\/\//, '/') }))
    .sort((a, b) => a.target.length - b.target.length)
    .flatMap(({ mount, place, target }) => [
      ...(place.rest !== '' || isPrivate(target) ? [mount.kind, target] : []),
      mount.readOnly ? 'bind-read-only' : 'bind',
      mount.source,
      target,
    ]);
  return [...overlays, ...binds];
}
