import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../bench/command.ts';
import { leashed } from '../../src/host/leash.ts';
import { guestWords, type Guest, type Job, type Machine } from './machine.ts';
import { download, install, meant } from './packages.ts';

const PROGRAMS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  cpio: 'cpio',
  modprobe: 'kmod',
};
const VIRTIOFSD = ['/usr/libexec/virtiofsd', '/usr/lib/qemu/virtiofsd'];
const MEMORY = '1536M';
const LOAD =
  'bridge veth esp4 xfrm_user xfrm_interface wireguard ipip vxlan tun seqiv gcm ctr nf_tables nft_xfrm'.split(' ');

const INIT = `#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
while read module; do insmod /lib/modules/$module; done </mods
mount -t virtiofs -o ro hostroot /newroot
for name in dev proc sys; do mount --move /$name /newroot/$name; done
exec switch_root /newroot "$(tr ' ' '\\n' </newroot/proc/cmdline | sed -n 's/^subctl_init=//p')"
`;

/**
 * Debian's cloud kernel as it is shipped, under qemu without KVM; the guest's root is the host's, through virtiofs. Ten
 * times slower than User-mode Linux.
 */
export class Qemu implements Machine {
  readonly name = 'qemu';
  readonly #cache: string;
  #folder = '';
  #version = '';

  constructor(cache: string) {
    this.#cache = cache;
  }

  async prepare(say: (text: string) => void, signal: AbortSignal): Promise<void> {
    const daemon = VIRTIOFSD.some((file) => existsSync(file)) ? {} : { virtiofsd: 'qemu-system-common' };
    await install({ ...PROGRAMS, ...daemon }, say, signal);
    const unpacked = readdirSync(this.#cache).find((name) => name.startsWith('linux-image-') && !name.endsWith('.new'));
    const name = unpacked ?? (await meant('linux-image-cloud-amd64', /Depends: (linux-image-\S+)/, signal));
    this.#version = name.replace('linux-image-', '');
    this.#folder = path.join(this.#cache, name);
    if (unpacked !== undefined) return;
    say(`downloading ${name} (27 MB)`);
    const folder = `${this.#folder}.new`;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const archive = await download(name, folder, signal);
    await run(['dpkg-deb', '-x', archive, folder], { signal });
    rmSync(archive);
    await run(['depmod', '-b', folder, this.#version], { signal });
    await this.#initramfs(folder, signal);
    rmSync(this.#folder, { recursive: true, force: true });
    renameSync(folder, this.#folder);
  }

  /** busybox and the modules that reach the host's files. */
  async #initramfs(folder: string, signal: AbortSignal): Promise<void> {
    const root = path.join(folder, 'initramfs.d');
    for (const name of ['bin', 'lib/modules', 'proc', 'sys', 'dev', 'newroot'])
      mkdirSync(path.join(root, name), { recursive: true });
    copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
    for (const name of ['sh', 'mount', 'insmod', 'switch_root', 'sed', 'tr'])
      symlinkSync('busybox', path.join(root, 'bin', name));
    const copied = new Set<string>();
    for (const module of ['virtio_pci', 'virtiofs']) {
      const words = ['modprobe', '-d', folder, '-S', this.#version, '--show-depends', module];
      for (const [, file = ''] of (await run(words, { signal })).matchAll(/^insmod (\S+)/gm)) {
        const name = path.basename(file);
        if (copied.has(name)) continue;
        copied.add(name);
        copyFileSync(file, path.join(root, 'lib/modules', name));
        appendFileSync(path.join(root, 'mods'), `${name}\n`);
      }
    }
    writeFileSync(path.join(root, 'init'), INIT);
    chmodSync(path.join(root, 'init'), 0o755);
    const pack = 'find . | cpio -o -H newc --quiet | gzip -1 >../initramfs';
    await run(['sh', '-c', pack], { signal, cwd: root });
    rmSync(root, { recursive: true });
  }

  async start(job: Job, signal: AbortSignal): Promise<Guest> {
    const folder = mkdtempSync(path.join(tmpdir(), 'subctl-qemu-'));
    const socket = path.join(folder, 'files.sock');
    const daemon = startFileServer(socket);
    const close = async (): Promise<void> => {
      daemon.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    };
    try {
      for (let tries = 0; !existsSync(socket); tries += 1) {
        if (tries > 400 || daemon.exitCode !== null) throw new Error('virtiofsd does not start');
        await sleep(50, undefined, { signal });
      }
      return { argv: this.#words(job, socket), close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  #words(job: Job, socket: string): readonly string[] {
    const init = path.join(job.repo, 'test/kernel/guest-init.sh');
    const speed = 'tsc=reliable mitigations=off nokaslr random.trust_cpu=on';
    const append = `console=ttyS0 quiet loglevel=1 panic=-1 ${speed} subctl_init=${init}`;
    const words = {
      accel: 'tcg,thread=multi,tb-size=512',
      smp: '2',
      m: MEMORY,
      // V8's protected code pages do not get on with the keys that qemu emulates.
      cpu: 'max,pku=off',
      object: `memory-backend-memfd,id=mem,size=${MEMORY},share=on`,
      numa: 'node,memdev=mem',
      chardev: `socket,id=files,path=${socket}`,
      device: 'vhost-user-fs-pci,chardev=files,tag=hostroot',
      serial: 'stdio',
      monitor: 'none',
      kernel: path.join(this.#folder, 'boot', `vmlinuz-${this.#version}`),
      initrd: path.join(this.#folder, 'initramfs'),
      append: [append, ...guestWords(job, this.#folder, LOAD)].join(' '),
    };
    const flags = ['-nographic', '-nodefaults', '-no-reboot'];
    return ['qemu-system-x86_64', ...flags, ...Object.entries(words).flatMap(([word, value]) => [`-${word}`, value])];
  }
}

/** Serves the files of this machine read-only for the guest's purposes: it mounts them so. */
function startFileServer(socket: string): ChildProcess {
  const program = VIRTIOFSD.find((file) => existsSync(file)) ?? 'virtiofsd';
  const words = [`--socket-path=${socket}`, '-o', 'source=/', '-o', 'cache=always', '-o', 'sandbox=chroot', '-f'];
  const [file = '', ...args] = leashed([program, ...words]);
  return spawn(file, args, { stdio: 'ignore' });
}
