import { expect, test } from '@jest/globals';
import { DEBIAN, IMAGES, imageOptions } from '../../../tools/images/args.ts';
import { buildWords } from '../../../tools/images/engine.ts';

test('the defaults are the images that join asks for', () => {
  expect(imageOptions([], '1.2.3')).toEqual({
    engine: undefined,
    repository: 'localhost/subctl',
    tag: '1.2.3',
    base: DEBIAN,
    localBase: false,
    noCache: false,
    only: [...IMAGES],
    verify: false,
  });
});

test('help is no mistake, everything else unknown is', () => {
  expect(imageOptions(['--help'], '1')).toBeUndefined();
  for (const words of [['--engin', 'podman'], ['--engine', 'lxc'], ['--only', 'x'], ['--tag', 'a b'], ['more']]) {
    expect(() => imageOptions(words, '1')).toThrow();
  }
});

const BUILD = {
  file: 'F',
  context: 'C',
  name: 'n:1',
  epoch: 7,
  args: { BASE: 'b' },
  noCache: false,
  pull: false,
};

test('podman and buildah give every file the same time and ask no registry unless they may', () => {
  for (const engine of ['podman', 'buildah']) {
    const words = buildWords(engine, BUILD);
    expect(words.join(' ')).toContain('--timestamp 7');
    expect(words).toContain('--pull=never');
    expect(words.join(' ')).toContain('--build-arg BASE=b');
    expect(buildWords(engine, { ...BUILD, pull: true })).not.toContain('--pull=never');
  }
});

test('docker is told the time in its own way', () => {
  expect(buildWords('docker', BUILD).join(' ')).toContain('--build-arg SOURCE_DATE_EPOCH=7');
});
