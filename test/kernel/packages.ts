import { accessSync, constants, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../bench/command.ts';
import { NotHere } from './machine.ts';

/** Whether a program is on the PATH of daemons. */
export function hasProgram(name: string): boolean {
  return ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Throws the reason when guests of this kind cannot be made here. */
export function assertPossible(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new NotHere(`guests are made for Linux on x86-64, this is ${process.platform} on ${process.arch}`);
  if (process.getuid?.() !== 0) throw new NotHere('not root: the guest sees the files of this machine as root does');
  if (!hasProgram('apt-get'))
    throw new NotHere('no apt-get: kernels and what builds and runs them are Debian packages');
}

/** Installs the packages whose program is missing (`program: package`). */
export async function install(
  needed: Readonly<Record<string, string>>,
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const missing = Object.entries(needed).filter(([program]) => !hasProgram(program));
  if (missing.length === 0) return;
  await installPackages([...new Set(missing.map(([, name]) => name))], say, signal);
}

async function installPackages(
  packages: readonly string[],
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  say(`installing Debian packages: ${packages.join(' ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const words = ['-o', 'DPkg::Lock::Timeout=400', 'install', '-y', '--no-install-recommends', ...packages];
  try {
    await run(['apt-get', 'update'], { signal, env });
    await run(['apt-get', ...words], { signal, env });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new NotHere(`the packages ${packages.join(' ')} cannot be installed: ${lastLine(error)}`);
  }
}

/** The package a meta package stands for today, e.g. linux-source-6.1 for linux-source. */
export async function meant(meta: string, pattern: RegExp, signal: AbortSignal): Promise<string> {
  const look = async (): Promise<string | undefined> =>
    pattern.exec(await run(['apt-cache', 'depends', meta], { signal }).catch(() => ''))?.[1];
  const known = await look();
  if (known !== undefined) return known;
  await run(['apt-get', 'update'], { signal }).catch(() => undefined);
  const found = await look();
  if (found === undefined) throw new NotHere(`the package archive has no ${meta}, also after apt-get update`);
  return found;
}

/** Downloads a package into a folder, without installing it, and gives the path of the file. */
export async function download(name: string, folder: string, signal: AbortSignal): Promise<string> {
  try {
    const output = await run(['apt-get', 'download', '--print-uris', name], { signal });
    const [, file] = /^'[^']+' (\S+)/m.exec(output) ?? [];
    await run(['apt-get', '-o', 'APT::Sandbox::User=root', 'download', name], { signal, cwd: folder });
    if (file === undefined) throw new Error(`apt-get names no file for ${name}`);
    return path.join(folder, file);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new NotHere(`the package ${name} cannot be downloaded: ${lastLine(error)}`);
  }
}

/**
 * Unpacks Debian's libreswan in a folder and installs the libraries it needs: the package itself conflicts with
 * strongSwan's. Throws the reason when it cannot be had.
 */
export async function unpackLibreswan(folder: string, say: (text: string) => void, signal: AbortSignal): Promise<void> {
  if (!existsSync(folder)) {
    say('downloading libreswan, as the other end of IPsec cables');
    const aside = mkdtempSync(`${folder}-`);
    try {
      await run(['dpkg-deb', '-x', await download('libreswan', aside, signal), path.join(aside, 'root')], { signal });
      renameSync(path.join(aside, 'root'), folder);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  }
  const programs = ['pluto', 'whack'].map((name) => path.join(folder, 'usr/libexec/ipsec', name));
  const linked = await run(['ldd', ...programs], { signal });
  if (!linked.includes('not found') && hasProgram('certutil')) return;
  const depends = await run(['apt-cache', 'depends', 'libreswan'], { signal });
  const libraries = [...depends.matchAll(/Depends: (lib\S+)/g)].map(([, name = '']) => name);
  await installPackages([...new Set(libraries)], say, signal);
}

function lastLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim().split('\n').at(-1) ?? '';
}
