import { expect, test } from '@jest/globals';
import { programName } from '../../../src/sandbox/fabric/programs.ts';

test.each([
  ['/usr/bin/node --no-opt /x/dist/engine.mjs', 'engine'],
  ['/usr/bin/node /x/dist/routeagent.mjs', 'routeagent'],
  ['/usr/bin/node /x/dist/sandbox.mjs echo', 'echo'],
  ['/usr/bin/node /x/dist/sandbox.mjs node --config /x/node.json', 'node'],
  ['/usr/lib/ipsec/charon --use-syslog', 'charon'],
  ['/usr/sbin/charon-systemd', 'charon'],
  ['wireguard-go -f submariner', 'wireguard-go'],
  ['', ''],
])('%s is %s', (line, name) => {
  expect(programName(line === '' ? [] : line.split(' '))).toBe(name);
});
