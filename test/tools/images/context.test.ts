import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { starter } from '../../../tools/images/context.ts';

test.each(['engine', 'routeagent', 'subctl'])('%s starts in its image as bin/ starts it, without a shell', (name) => {
  const script = readFileSync(`bin/${name}`, 'utf8');
  const flags = /^exec "\$node" (.*)"\$here/m.exec(script)?.[1]?.trim() ?? '';
  expect(starter(script)).toBe(
    `#!/usr/bin/env -S node${flags === '' ? '' : ` ${flags}`}\nimport('/opt/subctl/dist/${name}.mjs');\n`,
  );
});

test('a starter of another shape is noticed', () => {
  expect(() => starter('#!/bin/sh\nexec node "$@"\n')).toThrow('another shape');
});
