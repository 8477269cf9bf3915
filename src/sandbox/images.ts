import path from 'node:path';
import { POD_PATH } from './pods/environment.ts';
import type { ImageTable } from './pods/image.ts';

/**
 * Options of node for the gateway engine, as `bin/engine` has them: idle most of the time, it is better off small than
 * fast. Optimizing compilers take more than they give there, for minutes after each start (docs/benchmarks.md). The route
 * agent is small without, and has to be fast with hundreds of clusters.
 */
export const ENGINE_FLAGS = ['--no-opt', '--no-maglev', '--optimize-for-size', '--max-semi-space-size=1'] as const;

/** The images of our daemons as programs of this machine; `dist` is the folder with our bundles. */
export function daemonPrograms(node: string, dist: string): ImageTable {
  // As in a real image: its programs are found by name, for whoever looks into a pod.
  const env = { PATH: `${path.resolve(dist, '../bin')}:${POD_PATH}` };
  return {
    'submariner-gateway': { entrypoint: [node, ...ENGINE_FLAGS, path.join(dist, 'engine.mjs')], env },
    'submariner-route-agent': { entrypoint: [node, path.join(dist, 'routeagent.mjs')], env },
  };
}

/** The programs of this machine that stand for images of the sandbox itself. */
export function helperPrograms(node: string, dist: string): ImageTable {
  const sandbox = path.join(dist, 'sandbox.mjs');
  return {
    echo: { entrypoint: [node, sandbox, 'echo'] },
    client: { entrypoint: [node, sandbox, 'client'] },
    nettest: { entrypoint: [node, sandbox, 'client'] },
  };
}
