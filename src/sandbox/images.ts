import path from 'node:path';
import type { ImageTable } from './pods/image.ts';

/** The programs of this machine that stand for images; `dist` is the folder with our bundles. */
export function sandboxImages(node: string, dist: string): ImageTable {
  const bundle = (name: string, ...args: readonly string[]) => ({ entrypoint: [node, path.join(dist, name), ...args] });
  return {
    'submariner-gateway': bundle('engine.mjs'),
    'submariner-route-agent': bundle('routeagent.mjs'),
    echo: bundle('sandbox.mjs', 'echo'),
    client: bundle('sandbox.mjs', 'client'),
    nettest: bundle('sandbox.mjs', 'client'),
  };
}
