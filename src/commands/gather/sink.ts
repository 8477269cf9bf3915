import { once } from 'node:events';
import type { WriteStream } from 'node:fs';
import { access, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import { TAR_END, tarEntry } from './tar.ts';

/** Where what is gathered goes. Nobody but the operator may read it. */
export interface Sink {
  /** The file or directory, as the operator is told. */
  readonly file: string;
  add(name: string, text: string): Promise<void>;
  /** Makes it whole; nothing can be added afterwards. */
  finish(): Promise<void>;
  /** Removes what there is of it. */
  discard(): Promise<void>;
}

function taken(file: string): ExpectedError {
  return new ExpectedError(`${file} exists already`, { hint: 'Give another name; nothing is overwritten.' });
}

function cannotWrite(file: string, cause: unknown): ExpectedError {
  return new ExpectedError(`cannot write ${file}: ${messageOf(cause)}`, {
    hint: 'Is there room, and the right to write there?',
    cause,
  });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

/**
 * A directory that is made, or is there and empty. `shown` is its name as the operator gave it. Rejects with ExpectedError
 * when there is something in it.
 */
export async function directorySink(directory: string, shown: string): Promise<Sink> {
  const there = await exists(directory);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    if ((await readdir(directory)).length > 0) throw taken(shown);
  } catch (error) {
    throw error instanceof ExpectedError ? error : cannotWrite(shown, error);
  }
  return {
    file: shown,
    add: async (name, text) => {
      const file = path.join(directory, name);
      try {
        await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
        await writeFile(file, text, { mode: 0o600 });
      } catch (error) {
        throw cannotWrite(file, error);
      }
    },
    finish: async () => Promise.resolve(),
    discard: async () => {
      await rm(directory, { recursive: true, force: true });
      if (there) await mkdir(directory, { mode: 0o700 });
    },
  };
}

async function openForWriting(file: string, shown: string): Promise<WriteStream> {
  try {
    return (await open(file, 'w', 0o600)).createWriteStream();
  } catch (error) {
    throw cannotWrite(shown, error);
  }
}

/**
 * A .tar.gz with everything below the folder `root`; until it is whole it has the ending `.partial`. Rejects with
 * ExpectedError when there is such a file, or none can be made.
 */
export async function tarSink(file: string, shown: string, root: string, mtimeMs: number): Promise<Sink> {
  if (await exists(file)) throw taken(shown);
  const partial = `${file}.partial`;
  const gzip = createGzip();
  const output = await openForWriting(partial, shown);
  gzip.pipe(output);
  const whole = finished(output);
  // Told to whoever writes next, or finishes.
  whole.catch(() => undefined);
  const push = async (bytes: Buffer): Promise<void> => {
    if (!gzip.write(bytes)) await Promise.race([once(gzip, 'drain'), whole]);
  };
  let last: Promise<void> = Promise.resolve();
  const inTurn = async (work: () => Promise<void>): Promise<void> => {
    last = last.then(work);
    try {
      await last;
    } catch (error) {
      throw cannotWrite(shown, error);
    }
  };
  return {
    file: shown,
    add: async (name, text) =>
      inTurn(async () => push(tarEntry({ path: `${root}/${name}`, bytes: Buffer.from(text) }, mtimeMs))),
    finish: async () =>
      inTurn(async () => {
        await push(TAR_END);
        gzip.end();
        await whole;
        await rename(partial, file);
      }),
    discard: async () => {
      gzip.destroy();
      output.destroy();
      await whole.catch(() => undefined);
      await rm(partial, { force: true });
    },
  };
}
