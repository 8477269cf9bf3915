import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Cable } from '../../../src/engine/drivers/driver.ts';
import { ipsecMode } from '../../../src/engine/drivers/ipsec-connections.ts';
import { until, type CableTestbed, type TestGateway } from '../../netns/cable-testbed.ts';

/** Where the kernel tier unpacks Debian's libreswan, which cannot be installed beside strongSwan. */
const ROOT = path.resolve(import.meta.dirname, '../../../.cache/kernel/libreswan');
const PROGRAMS = path.join(ROOT, 'usr/libexec/ipsec');
/** Pluto starts programs by paths it was built with; they are in their place for it alone. */
const IN_PLACE =
  'mount --bind "$0/usr/libexec" /usr/libexec && PATH="$0/usr/sbin:$PATH" exec /usr/libexec/ipsec/pluto "$@"';

/**
 * What whack of libreswan 5, which upstream ships, asks for by itself. Without, libreswan 4 offers no ESN transform, refuses
 * proposals that have one (https://github.com/libreswan/libreswan/issues/1212), as charon's always do.
 */
const AS_LIBRESWAN_5 = ['--esn', '--no-esn', '--pfs', '--encaps', 'auto'];

/** Whether there is a libreswan here. */
export function hasLibreswan(): boolean {
  return existsSync(path.join(PROGRAMS, 'pluto'));
}

/** What traffic one of pluto's connections has seen, as `whack --trafficstatus` says. */
export interface Traffic {
  readonly name: string;
  readonly inBytes: number;
  readonly outBytes: number;
}

interface Pair {
  readonly i: number;
  readonly j: number;
  readonly local: string;
  readonly remote: string;
}

/** Words that define the connection of a pair of CIDRs, as upstream's driver gives them. */
function definition(cable: Cable, { i, j, local, remote }: Pair): readonly string[] {
  const mode = ipsecMode(cable);
  const ids =
    mode === 'bidirectional'
      ? [cable.localPrivateIp, cable.remotePrivateIp]
      : [`@${cable.localPrivateIp}-${i}-${j}`, `@${cable.remotePrivateIp}-${j}-${i}`];
  const left = ['--id', ids[0]!, '--host', cable.localPrivateIp, '--client', local];
  if (mode !== 'client') left.push('--ikeport', String(cable.localUdpPort));
  const right = ['--id', ids[1]!, '--host', mode === 'server' ? '%any' : cable.usingIp, '--client', remote];
  if (mode !== 'server') right.push('--ikeport', String(cable.remoteUdpPort));
  const common = ['--psk', '--encrypt', ...AS_LIBRESWAN_5, '--dpdaction', 'hold', '--dpddelay', '30'];
  return [...common, ...left, '--to', ...right];
}

/**
 * The other gateway, with libreswan's pluto and the commands that upstream's cable driver gives it (default driver of
 * Submariner; `ipsec whack`, any-to-any pre-shared key, a connection a pair of CIDRs, routes left to the main table).
 */
export class Pluto {
  readonly #gateway: TestGateway;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  constructor(gateway: TestGateway) {
    this.#gateway = gateway;
    this.#folder = path.join(gateway.dependencies.stateDir, 'pluto');
  }

  get log(): string {
    return readFileSync(path.join(this.#folder, 'log'), 'utf8');
  }

  async start(): Promise<void> {
    for (const name of ['run', 'nss', 'ipsec.d']) mkdirSync(path.join(this.#folder, name), { recursive: true });
    const file = (name: string): string => path.join(this.#folder, name);
    writeFileSync(file('ipsec.conf'), 'config setup\n');
    writeFileSync(file('secrets'), `%any %any : PSK "${this.#gateway.dependencies.psk}"\n`, { mode: 0o600 });
    if (!existsSync(file('nss/cert9.db')))
      await this.#run('certutil', '-N', '--empty-password', '-d', `sql:${file('nss')}`);
    const files = ['--config', file('ipsec.conf'), '--secretsfile', file('secrets'), '--nssdir', file('nss')];
    const folders = ['--rundir', file('run'), '--ipsecdir', file('ipsec.d'), '--logfile', file('log')];
    const words = ['netns', 'exec', this.#gateway.namespace, 'unshare', '-m', 'sh', '-c', IN_PLACE, ROOT];
    this.#child = spawn('ip', [...words, '--nofork', '--no-dnssec', ...files, ...folders], { stdio: 'ignore' });
    await until('pluto listens', () => this.#whack('--listen').then(Boolean, () => false));
    await this.#whack('--rereadsecrets');
  }

  /** Ends it as a crash does; what it has put into the kernel stays. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#child!.once('close', resolve));
    this.#child!.kill('SIGKILL');
    await ended;
  }

  /** Makes all connections of a cable, seen from this gateway. */
  async connect(bed: CableTestbed, cable: Cable): Promise<void> {
    for (const [i, local] of cable.localSubnets.entries()) {
      for (const [j, remote] of cable.remoteSubnets.entries()) {
        const name = `${cable.name}-${i}-${j}`;
        await this.#whack('--name', name, ...definition(cable, { i, j, local, remote }));
        if (ipsecMode(cable) === 'server') continue;
        await this.#whack('--route', '--name', name);
        await this.#whack('--initiate', '--asynchronous', '--name', name);
      }
    }
    // Nodes send what is for other clusters to the gateway, which has its default route for it.
    for (const cidr of cable.remoteSubnets) {
      bed.ip(this.#gateway, 'route', 'replace', cidr, 'via', cable.usingIp, 'src', this.#gateway.cniAddress);
    }
  }

  async traffic(): Promise<readonly Traffic[]> {
    const said = await this.#whack('--trafficstatus');
    return [...said.matchAll(/"([^"]+)"(?:\[\d+\] \S+)?, .*?inBytes=(\d+), outBytes=(\d+)/g)].map(
      ([, name = '', inBytes, outBytes]) => ({ name, inBytes: Number(inBytes), outBytes: Number(outBytes) }),
    );
  }

  /** Has it negotiate new keys for a pair. */
  async rekey(name: string): Promise<void> {
    await this.#whack('--rekey-ipsec', '--name', name);
  }

  async #whack(...words: readonly string[]): Promise<string> {
    return this.#run(path.join(PROGRAMS, 'whack'), '--rundir', path.join(this.#folder, 'run'), ...words);
  }

  async #run(file: string, ...words: readonly string[]): Promise<string> {
    const args = ['netns', 'exec', this.#gateway.namespace, file, ...words];
    return new Promise((resolve, reject) =>
      execFile('ip', args, (error, stdout, stderr) => {
        if (error === null) resolve(`${stdout}${stderr} `);
        else reject(new Error(`${words.join(' ')}: ${stdout}${stderr}`, { cause: error }));
      }),
    );
  }
}
