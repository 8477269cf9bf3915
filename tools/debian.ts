// Packages of Debian, fetched and unpacked beside what is installed: for tools that build what no package ships.
import { spawnSync, type SpawnSyncOptions } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** What went wrong outside of the tool. */
export class Failure extends Error {}

/** Runs a program to its end and returns its output; throws Failure. */
export function run(file: string, args: readonly string[], options: SpawnSyncOptions = {}): string {
  const { error, status, signal, stdout } = spawnSync(file, args, {
    maxBuffer: 64 << 20,
    ...options,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error !== undefined) throw new Failure(`cannot run ${file}: ${error.message}`);
  if (signal !== null) throw new Failure(`${file} was ended by ${signal}`);
  if (status !== 0) throw new Failure(`${file} ${args.slice(0, 4).join(' ')} failed (exit code ${status}), see above`);
  return stdout;
}

/** The Debian mirror that this machine uses already. */
function mirror(): string {
  const targets = run('apt-get', ['indextargets', '--format', '$(ORIGIN) $(REPO_URI)', 'Created-By: Packages']);
  const found = targets.split('\n').find((line) => /^Debian \S+\/debian\/?$/.test(line));
  if (found === undefined)
    throw new Failure('no Debian mirror among the sources of apt; run apt-get update first, on Debian 12 or newer');
  return found.slice(found.indexOf(' ') + 1);
}

/**
 * apt-get for one release, with sources, lists and cache of its own below `dir`. `installed`: the file with the packages
 * that are there already.
 */
export function privateApt(
  dir: string,
  suite: string,
  installed = '/var/lib/dpkg/status',
): (...args: readonly string[]) => string {
  for (const one of ['lists', 'archives/partial', 'state']) mkdirSync(path.join(dir, one), { recursive: true });
  const source = `[signed-by=${KEYRING}] ${mirror()} ${suite} main`;
  writeFileSync(path.join(dir, 'sources.list'), `deb ${source}\ndeb-src ${source}\n`);
  const config = path.join(dir, 'apt.conf');
  const settings = {
    'Dir::State': path.join(dir, 'state'),
    'Dir::State::lists': path.join(dir, 'lists'),
    'Dir::State::status': installed,
    'Dir::Cache': dir,
    'Dir::Etc::sourcelist': path.join(dir, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'APT::Sandbox::User': 'root',
    'Acquire::Retries': '3',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
  writeFileSync(config, lines.join(''));
  const env = { ...process.env, APT_CONFIG: config, LC_ALL: 'C' };
  return (...args) => run('apt-get', ['-q', ...args], { cwd: dir, env });
}
