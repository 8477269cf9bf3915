import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { DAEMON_FLAGS, sandboxImages } from '../../src/sandbox/images.ts';

test.each([
  ['engine', 'submariner-gateway'],
  ['routeagent', 'submariner-route-agent'],
])('%s runs in a sandbox as its starter in bin/ runs it', (name, image) => {
  const starter = readFileSync(`bin/${name}`, 'utf8');
  expect(starter).toContain(`exec "$node" ${DAEMON_FLAGS.join(' ')} "$here/dist/${name}.mjs"`);
  expect(sandboxImages('node', 'dist')[image]?.entrypoint).toEqual(['node', ...DAEMON_FLAGS, `dist/${name}.mjs`]);
});
