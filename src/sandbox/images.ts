import path from 'node:path';
import type { ImageTable } from './pods/image.ts';

/**
 * Options of node for the daemons, as `bin/engine` and `bin/routeagent` have them: a daemon that is idle most of the time
 * is better off small than fast (8 MiB less resident memory; the optimizing compiler alone is 5 MiB).
 */
export const DAEMON_FLAGS = ['--no-opt', '--optimize-for-size', '--max-semi-space-size=1'] as const;

/** The programs of this machine that stand for images; `dist` is the folder with our bundles. */
export function sandboxImages(node: string, dist: string): ImageTable {
  const daemon = (name: string) => ({ entrypoint: [node, ...DAEMON_FLAGS, path.join(dist, name)] });
  const workload = (name: string) => ({ entrypoint: [node, path.join(dist, 'sandbox.mjs'), name] });
  return {
    'submariner-gateway': daemon('engine.mjs'),
    'submariner-route-agent': daemon('routeagent.mjs'),
    echo: workload('echo'),
    client: workload('client'),
    nettest: workload('client'),
  };
}
