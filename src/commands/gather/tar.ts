/** Files in a tar archive as POSIX.1-2001 (pax) has it: ustar headers, a pax record in front of a long name. */

const BLOCK = 512;
const NAME_BYTES = 100;
const FILE = '0';
const PAX = 'x';

/** A file, its content decided. */
export interface TarFile {
  /** Relative, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % BLOCK;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(BLOCK - rest)]);
}

function octal(value: number, digits: number): string {
  return `${Math.floor(value).toString(8).padStart(digits, '0')}\0`;
}

function header(name: string, size: number, type: string, mtimeMs: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, NAME_BYTES, 'utf8');
  block.write(octal(0o600, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(mtimeMs / 1000, 11), 136);
  block.write(type, 156);
  block.write('ustar\x0000', 257);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Sum of all bytes, those of the checksum taken as blanks. */
function checksum(block: Buffer): number {
  return block.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

/** `LENGTH path=NAME\n`, where LENGTH counts itself. */
function paxRecord(name: string): Buffer {
  const body = ` path=${name}\n`;
  const bytes = Buffer.byteLength(body);
  const guess = bytes + String(bytes).length;
  const length = bytes + String(guess).length;
  return Buffer.from(`${length}${body}`);
}

/** The blocks of one file. */
export function tarEntry({ path, bytes }: TarFile, mtimeMs: number): Buffer {
  const parts = [header(path, bytes.length, FILE, mtimeMs), padded(bytes)];
  if (Buffer.byteLength(path) <= NAME_BYTES) return Buffer.concat(parts);
  const record = paxRecord(path);
  return Buffer.concat([header('pax', record.length, PAX, mtimeMs), padded(record), ...parts]);
}

/** What ends an archive. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK);

/** Why a text of bytes is no tar archive, or no whole one. */
export class TarError extends Error {
  override readonly name = 'TarError';
}

function textAt(block: Buffer, from: number, length: number): string {
  const field = block.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString('utf8');
}

function sizeOf(block: Buffer): number {
  const size = Number.parseInt(textAt(block, 124, 12).trim() || '0', 8);
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw new TarError('a header is damaged');
}

interface Record {
  readonly type: string;
  readonly name: string;
  readonly bytes: Buffer;
}

/** Throws TarError unless a text of bytes, which may be cut, begins as an archive does that has files. */
export function requireTarHeader(head: Buffer): void {
  const block = head.subarray(0, BLOCK);
  if (block.length < BLOCK) throw new TarError('it ends in the middle');
  if (block.every((byte) => byte === 0)) throw new TarError('it has no files');
  requireChecksum(block);
}

function requireChecksum(block: Buffer): void {
  if (Number.parseInt(textAt(block, 148, 8).trim(), 8) !== checksum(block)) throw new TarError('a header is damaged');
}

/** What starts at a header; throws TarError when it is damaged or cut. */
function recordAt(archive: Buffer, at: number, block: Buffer): Record {
  requireChecksum(block);
  const size = sizeOf(block);
  const bytes = archive.subarray(at + BLOCK, at + BLOCK + size);
  if (bytes.length < size) throw new TarError('it ends in the middle');
  const name = textAt(block, 0, NAME_BYTES);
  const prefix = textAt(block, 345, 155);
  return { type: textAt(block, 156, 1), name: prefix === '' ? name : `${prefix}/${name}`, bytes };
}

/** The files of an archive, as tarEntry and other programs write them; throws TarError. */
export function readTar(archive: Buffer): readonly TarFile[] {
  const files: TarFile[] = [];
  let longName: string | undefined;
  let at = 0;
  for (;;) {
    const block = archive.subarray(at, at + BLOCK);
    if (block.length < BLOCK) throw new TarError('it ends in the middle');
    if (block.every((byte) => byte === 0)) return files;
    const { type, name, bytes } = recordAt(archive, at, block);
    if (type === FILE || type === '') files.push({ path: longName ?? name, bytes });
    longName = type === PAX ? /(?:^|\n)\d+ path=([^\n]+)\n/.exec(bytes.toString('utf8'))?.[1] : undefined;
    at += BLOCK + Math.ceil(bytes.length / BLOCK) * BLOCK;
  }
}
