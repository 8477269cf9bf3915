import { describe, expect, test } from '@jest/globals';
import { readConfig, type ConfigReader } from '../../src/runtime/config.ts';
import { UsageError } from '../../src/runtime/errors.ts';

const build = (read: ConfigReader) => ({
  id: read.string('ID'),
  name: read.optional('NAME'),
  port: read.integer('PORT', { default: 4500, min: 1, max: 65_535 }),
  debug: read.boolean('DEBUG', { default: false }),
  cidrs: read.list('CIDRS', { default: [] }),
  driver: read.oneOf('DRIVER', ['a', 'b'], { default: 'a' }),
  psk: read.file('/secret/psk', { default: 'none' }),
  url: read.parsed('URL', (text) => new URL(text).host, 'x', { default: 'h' }),
});

const noFile = (): string => {
  throw new Error('ENOENT');
};

describe('readConfig', () => {
  test('gives typed values and defaults', () => {
    const files = (path: string): string => `content of ${path}\n`;
    expect(
      readConfig(
        { ID: ' east ', CIDRS: '10.0.0.0/8, ,fd00::/8', DEBUG: 'TRUE', PORT: '80', DRIVER: 'b' },
        build,
        files,
      ),
    ).toEqual({
      id: 'east',
      name: undefined,
      port: 80,
      debug: true,
      cidrs: ['10.0.0.0/8', 'fd00::/8'],
      driver: 'b',
      psk: 'content of /secret/psk',
      url: 'h',
    });
    expect(readConfig({ ID: 'x', NAME: '' }, build, noFile)).toMatchObject({ port: 4500, debug: false, psk: 'none' });
  });

  test('reports every mistake at once', () => {
    const env = { PORT: '70000', DEBUG: 'yes', DRIVER: 'c', URL: '::' };
    const run = (): unknown =>
      readConfig(
        env,
        (read) => {
          const config = build(read);
          read.file('/missing');
          read.mistake('A and B exclude each other');
          return config;
        },
        noFile,
      );
    expect(run).toThrow(UsageError);
    for (const part of [
      '7 mistakes',
      'ID is not set',
      'PORT="70000": is more than 65535',
      'DEBUG="yes": is neither true nor false',
      'DRIVER="c": is none of a, b',
      'URL="::"',
      'cannot read /missing: ENOENT',
      'A and B exclude each other',
    ]) {
      expect(run).toThrow(part);
    }
  });

  test.each(['1.5', '0x10', '', '1e3', '9007199254740993'])('%p is no whole number', (text) => {
    expect(() => readConfig({ PORT: text }, (read) => read.integer('PORT'))).toThrow('PORT');
  });
});
