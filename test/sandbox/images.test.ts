import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { ENGINE_FLAGS, daemonPrograms } from '../../src/sandbox/images.ts';

test.each([
  ['engine', 'submariner-gateway', ENGINE_FLAGS],
  ['routeagent', 'submariner-route-agent', []],
])('%s runs in a sandbox as its starter in bin/ runs it', (name, image, flags) => {
  const [, starter] = /^exec "\$node" (.*)"\$here\//m.exec(readFileSync(`bin/${name}`, 'utf8')) ?? [];
  expect(starter?.split(' ').filter(Boolean)).toEqual([...flags]);
  expect(daemonPrograms('node', 'dist')[image]?.entrypoint).toEqual(['node', ...flags, `dist/${name}.mjs`]);
});

test('the programs of the images are found by name, as subctl calls them in pods', () => {
  for (const image of ['submariner-gateway', 'submariner-route-agent']) {
    const [first] = daemonPrograms('node', '/opt/subctl/dist')[image]?.env?.['PATH']?.split(':') ?? [];
    expect(first).toBe('/opt/subctl/bin');
  }
});
