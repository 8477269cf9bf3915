import { X509Certificate } from 'node:crypto';
import { chmod, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { type BrokerInfo, brokerAccessOf, parseBrokerInfo } from '../api/brokerinfo.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** Reads a broker-info.subm; rejects with ExpectedError that says what is wrong with it. */
export async function readBrokerInfoFile(file: string, now: number): Promise<BrokerInfo> {
  const info = await findBrokerInfoFile(file, now);
  if (info !== undefined) return info;
  throw new ExpectedError(`there is no file ${file}`, {
    hint: 'subctl deploy-broker writes it; subctl recover-broker-info writes it again.',
  });
}

/** The same, but undefined when there is no such file. */
export async function findBrokerInfoFile(file: string, now: number): Promise<BrokerInfo | undefined> {
  const text = await findText(file);
  if (text === undefined) return undefined;
  const parsed = parseBrokerInfo(text, now);
  if (parsed.problem === undefined) {
    refuseExpiredCa(file, brokerAccessOf(parsed.info).ca, now);
    return parsed.info;
  }
  throw new ExpectedError(`cannot use ${file}: ${parsed.problem}`, { hint: parsed.hint });
}

/** Throws ExpectedError when every certificate of the CA in the file has expired. */
function refuseExpiredCa(file: string, ca: string | undefined, now: number): void {
  const ends = (ca ?? '').split(/(?<=-----END CERTIFICATE-----)/).flatMap(endOfCertificate);
  if (ends.length === 0 || ends.some((end) => end > now)) return;
  throw new ExpectedError(
    `cannot use ${file}: its CA certificate has expired (${new Date(Math.max(...ends)).toISOString()})`,
    { hint: 'Get a new file: subctl deploy-broker on the broker cluster, or subctl recover-broker-info.' },
  );
}

/** When a certificate ends, in milliseconds since the epoch; nothing for what is no certificate. */
function endOfCertificate(pem: string): readonly number[] {
  try {
    return [new X509Certificate(pem).validToDate.getTime()];
  } catch {
    return [];
  }
}

async function findText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new ExpectedError(`cannot read ${file}: ${message}`, {
      hint: 'Give the path of the readable file that subctl deploy-broker wrote.',
      cause: error,
    });
  }
}

/**
 * Writes the file with mode 0600, replacing it in one step. A file of the same name with other content is kept as
 * `<name>.<time with : as _>`; its new name is returned. Nothing is written when the content is the same.
 */
export async function writeBrokerInfoFile(
  file: string,
  content: string,
  now: number,
): Promise<{ readonly changed: boolean; readonly kept: string | undefined }> {
  const before = await findText(file);
  if (before?.trim() === content) {
    await chmod(file, 0o600);
    return { changed: false, kept: undefined };
  }
  const kept = before === undefined ? undefined : `${file}.${stamp(now)}`;
  try {
    const fresh = `${file}.${process.pid}.new`;
    const handle = await open(fresh, 'w', 0o600);
    await handle.writeFile(content);
    await handle.sync();
    await handle.close();
    if (kept !== undefined) await rename(file, kept);
    await rename(fresh, file);
  } catch (error) {
    throw new ExpectedError(`cannot write ${file}: ${messageOf(error)}`, {
      hint: `Is ${path.dirname(file)} writable? Run the command again in another directory.`,
      cause: error,
    });
  }
  return { changed: true, kept };
}

function stamp(now: number): string {
  return new Date(now)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '_');
}
