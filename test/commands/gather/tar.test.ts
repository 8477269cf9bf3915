import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readTar, TAR_END, TarError, tarEntry, type TarFile } from '../../../src/commands/gather/tar.ts';

const MTIME = Date.UTC(2020, 0, 1);

function archive(files: readonly TarFile[]): Buffer {
  return Buffer.concat([...files.map((file) => tarEntry(file, MTIME)), TAR_END]);
}

const word = fc.stringMatching(/^[a-zA-Z0-9._é-]{1,60}$/).filter((text) => !/^\.+$/.test(text));
const files = fc.uniqueArray(
  fc.record({
    path: fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join('/')),
    bytes: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)),
  }),
  { selector: ({ path: name }) => name },
);

describe('tar', () => {
  test('what was written is read again, long names included', () => {
    fc.assert(
      fc.property(files, (all) => {
        expect(readTar(archive(all)).map((file) => ({ ...file, bytes: Buffer.from(file.bytes) }))).toEqual(all);
      }),
    );
  });

  test('the program tar reads it, and we read what it writes', () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'subctl-tar-'));
    try {
      const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(90)}.yaml`;
      const all = [
        { path: 'a/b.txt', bytes: Buffer.from('hello\n') },
        { path: long, bytes: Buffer.alloc(513, 'x') },
        { path: 'empty', bytes: Buffer.alloc(0) },
      ];
      const file = path.join(folder, 'x.tar');
      writeFileSync(file, archive(all));
      execFileSync('tar', ['-xf', file, '-C', folder]);
      expect(readFileSync(path.join(folder, 'a/b.txt'), 'utf8')).toBe('hello\n');
      expect(readFileSync(path.join(folder, long), 'utf8')).toBe('x'.repeat(513));
      for (const format of ['pax', 'ustar']) {
        const names = format === 'pax' ? ['a/b.txt', long, 'empty'] : ['a/b.txt', 'empty'];
        execFileSync('tar', ['-cf', `${folder}/y.tar`, `--format=${format}`, '-C', folder, ...names]);
        expect(readTar(readFileSync(`${folder}/y.tar`)).map(({ path: name }) => name)).toEqual(names);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.alloc(2048, 'x')],
    ['an archive cut in a file', archive([{ path: 'a', bytes: Buffer.alloc(3000, 'y') }]).subarray(0, 1500)],
    ['an archive cut before its end', tarEntry({ path: 'a', bytes: Buffer.from('y') }, MTIME)],
  ])('%s is refused', (_, bytes) => {
    expect(() => readTar(bytes)).toThrow(TarError);
  });
});
