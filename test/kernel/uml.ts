import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { run } from '../../bench/command.ts';
import { guestWords, type Guest, type Job, type Machine } from './machine.ts';
import { download, install, meant } from './packages.ts';

const TOOLS = { gcc: 'gcc', make: 'make', flex: 'flex', bison: 'bison', bc: 'bc', perl: 'perl', xz: 'xz-utils' };
const LIBC = { file: '/usr/include/stdlib.h', name: 'libc6-dev' };

/** Sources of hardware that User-mode Linux cannot have: two thirds of the whole. Their Kconfig files are needed. */
const LEFT_OUT = [
  ...['gpu', 'media', 'staging', 'infiniband', 'scsi', 'net/ethernet', 'net/wireless', 'iio', 'usb', 'hwmon'].map(
    (folder) => `drivers/${folder}/*.[ch]`,
  ),
  ...[
    'alpha',
    'arc',
    'arm',
    'arm64',
    'ia64',
    'm68k',
    'mips',
    'parisc',
    'powerpc',
    'riscv',
    's390',
    'sh',
    'sparc',
  ].flatMap((folder) => [`arch/${folder}/*.[chS]`, `arch/${folder}/*.dts*`]),
  'sound/*.[ch]',
  'Documentation/*/*',
  'tools/testing/*',
  'tools/perf/*',
];

/**
 * User-mode Linux, built once from Debian's kernel source with uml.config: Debian's own User-mode Linux has no nftables
 * for IPv4, no xfrm links and no WireGuard. The guest's root is the host's, through hostfs.
 */
export class UserModeLinux implements Machine {
  readonly name = 'User-mode Linux';
  readonly #cache: string;
  readonly #config: string;
  #kernel = '';

  constructor(cache: string, folder: string) {
    this.#cache = cache;
    this.#config = path.join(folder, 'uml.config');
  }

  async prepare(say: (text: string) => void, signal: AbortSignal): Promise<void> {
    const hash = createHash('sha256').update(readFileSync(this.#config)).digest('hex').slice(0, 8);
    const built = readdirSync(this.#cache).find(
      (name) => name.startsWith('linux-source-') && name.endsWith(`-${hash}`),
    );
    if (built !== undefined) {
      this.#kernel = path.join(this.#cache, built);
      return;
    }
    const source = await meant('linux-source', /Depends: (linux-source-[\d.]+)/, signal);
    this.#kernel = path.join(this.#cache, `${source}-${hash}`);
    await install({ ...TOOLS, ...(existsSync(LIBC.file) ? {} : { [LIBC.name]: LIBC.name }) }, say, signal);
    // In memory, where there is enough: a tree of 60,000 files for some minutes.
    const folder = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'subctl-kernel-'));
    try {
      say(`downloading ${source} (140 MB)`);
      const archive = await download(source, folder, signal);
      say('building User-mode Linux; once, some minutes');
      await this.#build(archive, source, folder, signal);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #build(archive: string, source: string, folder: string, signal: AbortSignal): Promise<void> {
    const excluded = LEFT_OUT.map((pattern) => `--exclude='${source}/${pattern}'`).join(' ');
    const unpack = `dpkg-deb --fsys-tarfile ${archive} | tar -xO ./usr/src/${source}.tar.xz | xz -dc -T0 | tar -x ${excluded}`;
    await run(['sh', '-c', unpack], { signal, cwd: folder });
    rmSync(archive);
    const cwd = path.join(folder, source);
    const make = (...words: readonly string[]): Promise<string> =>
      run(['make', '-s', 'ARCH=um', ...words], { signal, cwd });
    await make(`KCONFIG_ALLCONFIG=${this.#config}`, 'allnoconfig');
    assertConfigured(readFileSync(this.#config, 'utf8'), readFileSync(path.join(cwd, '.config'), 'utf8'));
    await make(`-j${availableParallelism() + 1}`, 'vmlinux');
    mkdirSync(this.#cache, { recursive: true });
    copyFileSync(path.join(cwd, 'vmlinux'), `${this.#kernel}.new`);
    chmodSync(`${this.#kernel}.new`, 0o755);
    renameSync(`${this.#kernel}.new`, this.#kernel);
  }

  async start(job: Job): Promise<Guest> {
    const folder = mkdtempSync(path.join(tmpdir(), 'subctl-uml-'));
    const init = path.join(job.repo, 'test/kernel/guest-init.sh');
    const words = [
      'mem=1536M',
      'rootfstype=hostfs',
      'root=/dev/root',
      'ro',
      `init=${init}`,
      'quiet',
      'loglevel=1',
      'random.trust_cpu=on',
    ];
    const console = ['con=null', 'con0=null,fd:1', `uml_dir=${folder}/`, 'umid=guest'];
    return {
      argv: [this.#kernel, ...words, ...console, ...guestWords(job, '', [])],
      close: async () => rmSync(folder, { recursive: true, force: true }),
    };
  }
}

/** Options that do not exist, or whose own needs are not met, are dropped by `make` without a word. */
function assertConfigured(wanted: string, made: string): void {
  const has = new Set(made.split('\n'));
  const missing = wanted.split('\n').filter((line) => line.startsWith('CONFIG_') && !has.has(line));
  if (missing.length > 0) throw new Error(`the kernel's configuration lacks ${missing.join(' ')}`);
}
