import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DriverDependencies } from '../../src/engine/drivers/index.ts';
import type { Cable, CableDriver, DesiredCables } from '../../src/engine/drivers/driver.ts';
import { createRunner, type CommandRunner } from '../../src/host/command.ts';
import { cableName } from '../../src/api/names.ts';
import { createLogger } from '../../src/runtime/logger.ts';
import { ReconcileLoop } from '../../src/runtime/loop.ts';
import { patient } from './patience.ts';
import { record } from '../runrecord.ts';

/** Debug output of the drivers under test; empty unless CABLE_TEST_LOG names a level. */
/** So many pings, 20 ms apart, may be on their way at a time; a slow guest takes that long to answer. */
const UNDER_WAY = 5;

const logger = createLogger({
  level: process.env['CABLE_TEST_LOG'] === 'debug' ? 'debug' : process.env['CABLE_TEST_LOG'] ? 'info' : 'silent',
  write: (line) => void process.stderr.write(line),
});

/** One gateway with one pod behind it: `wan` towards the others, `cni0` towards the pod. */
export interface TestGateway {
  readonly index: number;
  readonly clusterId: string;
  readonly namespace: string;
  readonly podNamespace: string;
  readonly privateIp: string;
  readonly cniAddress: string;
  readonly podAddress: string;
  readonly serviceAddress: string;
  readonly subnets: readonly string[];
  readonly runner: CommandRunner;
  readonly dependencies: DriverDependencies;
}

/** Output of a program that ends well. */
export function run(file: string, ...args: readonly string[]): string {
  return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 * 1024 * 1024 });
}

export interface PingCount {
  readonly sent: number;
  readonly answered: number;
  /** Numbers of those that were not answered, before the last one that was. */
  readonly missing: readonly number[];
}

export type Pinger = (() => Promise<PingCount>) & {
  readonly answers: (more: number) => Promise<void>;
  /** Number of the last one answered so far; 0 when there is none. */
  readonly latest: () => number;
};

/** Waits until `probe` gives something true; the failure names what was awaited and the last value. */
export async function until<T>(what: string, probe: () => T | Promise<T>, timeoutMs = 15_000): Promise<T> {
  const deadline = performance.now() + patient(timeoutMs);
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`not within ${patient(timeoutMs)} ms: ${what}`);
    await sleep(25);
  }
}

/** What crossed the WAN, in packets. */
export interface Captured {
  /** Packets whose outermost header has an address of a cluster's pods or Services. */
  readonly inner: number;
  readonly tunnel: number;
}

export interface SyncLoop {
  trigger(): void;
  stop(): Promise<void>;
  /** Whether everything was made at least once: peers may answer before. */
  synced(): boolean;
}

/** Gateways of several clusters around one WAN bridge, in network namespaces of their own. */
export class CableTestbed {
  readonly gateways: readonly TestGateway[];
  protected readonly id = record(`t-${Math.random().toString(36).slice(2, 8)}`);
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'cable-'));
  protected readonly children: ChildProcess[] = [];
  readonly #loops: (() => Promise<void>)[] = [];

  constructor(count: number, port = 4500) {
    const wan = this.wan;
    run('ip', 'netns', 'add', wan);
    run('ip', '-n', wan, 'link', 'set', 'lo', 'up');
    run('ip', '-n', wan, 'link', 'add', 'br0', 'type', 'bridge');
    run('ip', '-n', wan, 'link', 'set', 'br0', 'up');
    run('ip', '-n', wan, 'addr', 'add', '198.18.0.254/24', 'dev', 'br0');
    this.gateways = Array.from({ length: count }, (_, index) => this.#addGateway(index + 1, port));
  }

  get wan(): string {
    return `${this.id}-wan`;
  }

  #addGateway(n: number, udpPort: number): TestGateway {
    const clusterId = `c${n}`;
    const namespace = `${this.id}-gw${n}`;
    const podNamespace = `${this.id}-pod${n}`;
    const stateDir = path.join(this.#folder, `state${n}`);
    for (const name of [namespace, podNamespace]) {
      run('ip', 'netns', 'add', name);
      run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    }
    const sysctls = ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0'];
    run('ip', 'netns', 'exec', namespace, 'sysctl', '-qw', ...sysctls);
    run('ip', 'link', 'add', 'wan', 'netns', namespace, 'type', 'veth', 'peer', 'name', `w${n}`, 'netns', this.wan);
    run('ip', '-n', this.wan, 'link', 'set', `w${n}`, 'master', 'br0', 'up');
    const privateIp = `198.18.0.${n}`;
    run('ip', '-n', namespace, 'addr', 'add', `${privateIp}/24`, 'dev', 'wan');
    run('ip', '-n', namespace, 'link', 'set', 'wan', 'up');
    run('ip', '-n', namespace, 'route', 'add', 'default', 'via', '198.18.0.254');
    run('ip', 'link', 'add', 'cni0', 'netns', namespace, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', podNamespace);
    const pods = `10.${243 + n}`;
    run('ip', '-n', namespace, 'addr', 'add', `${pods}.0.1/24`, 'dev', 'cni0');
    run('ip', '-n', namespace, 'link', 'set', 'cni0', 'up');
    const serviceAddress = `100.${64 + n}.7.7`;
    run('ip', '-n', podNamespace, 'addr', 'add', `${pods}.0.10/24`, 'dev', 'eth0');
    run('ip', '-n', podNamespace, 'addr', 'add', `${serviceAddress}/32`, 'dev', 'lo');
    run('ip', '-n', podNamespace, 'link', 'set', 'eth0', 'up');
    run('ip', '-n', podNamespace, 'route', 'add', 'default', 'via', `${pods}.0.1`);
    run('ip', '-n', namespace, 'route', 'add', `${serviceAddress}/32`, 'via', `${pods}.0.10`);
    const runner = createRunner({ logger: logger.with({ gateway: clusterId }), namespace });
    return {
      index: n,
      clusterId,
      namespace,
      podNamespace,
      privateIp,
      cniAddress: `${pods}.0.1`,
      podAddress: `${pods}.0.10`,
      serviceAddress,
      subnets: [`100.${64 + n}.0.0/16`, `${pods}.0.0/16`],
      runner,
      dependencies: {
        runner,
        logger: logger.with({ gateway: clusterId }),
        stateDir,
        privateIp,
        udpPort,
        psk: 'dGVzdC1rZXktb2YtdGhlLWNhYmxlLXRlc3RiZWQ=',
        dpdDelaySeconds: patient(1),
        namespace,
      },
    };
  }

  cable(from: TestGateway, to: TestGateway, configs: readonly [object, object] = [{}, {}]): Cable {
    return {
      name: cableName(to.clusterId, to.privateIp),
      remoteClusterId: to.clusterId,
      localClusterId: from.clusterId,
      localPrivateIp: from.privateIp,
      remotePrivateIp: to.privateIp,
      usingIp: to.privateIp,
      usingNat: false,
      localUdpPort: from.dependencies.udpPort,
      remoteUdpPort: to.dependencies.udpPort,
      localSubnets: from.subnets,
      remoteSubnets: to.subnets,
      localConfig: { ...configs[0] },
      remoteConfig: { ...configs[1] },
      slot: 0,
      carries: true,
      probeIp: undefined,
    };
  }

  /** Cables from a gateway to all others (or those given), guarded. */
  async desired(
    from: TestGateway,
    drivers: readonly CableDriver[],
    to: readonly TestGateway[] = this.gateways.filter((gateway) => gateway !== from),
  ): Promise<DesiredCables> {
    const configOf = async (gateway: TestGateway): Promise<object> =>
      (await drivers[gateway.index - 1]?.backendConfig()) ?? {};
    const cables = await Promise.all(
      to.map(async (gateway) => this.cable(from, gateway, [await configOf(from), await configOf(gateway)])),
    );
    return {
      cables,
      guardedCidrs: to.flatMap((gateway) => gateway.subnets),
      cniAddress: from.cniAddress,
      lookup: 'all',
    };
  }

  /** Runs a driver as the engine does: at once, on every change it reports, after failures. Ends with `stop`. */
  keepSynced(driver: CableDriver, desired: () => Promise<DesiredCables>): SyncLoop {
    const controller = new AbortController();
    let synced = false;
    const loop = new ReconcileLoop({
      name: 'cables',
      reconcile: async (signal) => {
        await driver.sync(await desired(), signal);
        synced = true;
      },
      logger: this.gateways[0]!.dependencies.logger,
      resyncMs: 600_000,
      backoff: { initialMs: 100, maxMs: 500 },
    });
    driver.onChange(() => loop.trigger());
    const done = loop.run(controller.signal);
    const stop = async (): Promise<void> => {
      controller.abort();
      await done;
    };
    this.#loops.push(stop);
    return { trigger: () => loop.trigger(), stop, synced: () => synced };
  }

  /** Pings from a namespace every 20 ms until the returned function is called; it gives the numbers. `answers` waits for so many more. */
  pinger(namespace: string, address: string): Pinger {
    const args = ['netns', 'exec', namespace, 'ping', '-n', '-i', '0.02', '-W1', address];
    const child = spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.children.push(child);
    let said = '';
    child.stdout.on('data', (chunk) => (said += String(chunk)));
    const stop = async (): Promise<PingCount> => {
      const done = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGINT');
      await done;
      const match = /(\d+) packets transmitted, (\d+) received/.exec(said);
      // ping ends at once: the last ones, which still were on their way, are neither lost nor answered.
      const last = latest();
      const underWay = Math.min(Number(match?.[1]) - last, UNDER_WAY);
      const known = new Set(numbers());
      const missing = Array.from({ length: last }, (_, index) => index + 1).filter((number) => !known.has(number));
      return { sent: Number(match?.[1]) - underWay, answered: Number(match?.[2]), missing };
    };
    const numbers = (): readonly number[] =>
      [...said.matchAll(/ bytes from .*icmp_seq=(\d+)/g)].map(([, number]) => Number(number));
    const latest = (): number => Math.max(0, ...numbers());
    const answered = (): number => said.split(' bytes from ').length - 1;
    const answers = async (more: number): Promise<void> => {
      const wanted = answered() + more;
      await until(`${String(more)} more answers to ${namespace} from ${address}`, () => answered() >= wanted);
    };
    return Object.assign(stop, { answers, latest });
  }

  /** All a gateway has, as the tools print it. */
  snapshot(gateway: TestGateway): string {
    const links = this.ip(gateway, '-o', 'link').replaceAll(/ state \w+/g, '');
    // Which source charon prefers in a table of its own it settles when it sees the addresses of the link.
    const routes = this.ip(gateway, '-4', 'route', 'show', 'table', 'all').replaceAll(
      /(table 22[01] proto static) src \S+/g,
      '$1',
    );
    return [
      links,
      this.ip(gateway, '-o', '-4', 'addr'),
      routes,
      this.ip(gateway, 'rule'),
      this.nft(gateway, 'list', 'ruleset'),
    ].join('\n');
  }

  /** Gives a gateway a route, a rule and an nft table that are not ours. */
  addForeign(gateway: TestGateway): void {
    this.ip(gateway, 'route', 'add', '198.51.100.0/24', 'via', '198.18.0.254');
    this.ip(gateway, 'rule', 'add', 'pref', '77', 'lookup', '77');
    this.ip(gateway, 'rule', 'add', 'pref', '220', 'lookup', '78');
    this.nft(gateway, 'add', 'table', 'inet', 'somebody');
  }

  /** Whether one ping from a namespace is answered within a second. */
  async ping(namespace: string, address: string, source?: string): Promise<boolean> {
    const from = source === undefined ? [] : ['-I', source];
    const args = ['netns', 'exec', namespace, 'ping', '-n', '-q', '-c1', '-W1', ...from, address];
    return new Promise((resolve) => execFile('ip', args, (error) => resolve(error === null)));
  }

  /** Whether every pod reaches every other pod and Service address. */
  async allReach(): Promise<boolean> {
    for (const from of this.gateways) {
      for (const to of this.gateways) {
        if (from === to) continue;
        if (!(await this.ping(from.podNamespace, to.podAddress))) return false;
        if (!(await this.ping(from.podNamespace, to.serviceAddress))) return false;
      }
    }
    return true;
  }

  /** Captures on the WAN bridge until the returned function is called. */
  async capture(): Promise<() => Promise<Captured>> {
    const file = path.join(this.#folder, `capture-${this.children.length}.pcap`);
    const args = ['netns', 'exec', this.wan, 'tcpdump', '-n', '-i', 'br0', '-U', '--immediate-mode', '-w', file];
    const process = spawn('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.children.push(process);
    let said = '';
    process.stderr.on('data', (chunk) => (said += String(chunk)));
    await until('tcpdump listens', () => said.includes('listening on'));
    return async () => {
      const done = new Promise((resolve) => process.once('close', resolve));
      process.kill('SIGINT');
      await done;
      const lines = (filter: string): readonly string[] =>
        run('tcpdump', '-nne', '-r', file, filter)
          .split('\n')
          .filter((line) => line !== '');
      const clusters = this.gateways.flatMap((gateway) => gateway.subnets).map((cidr) => `net ${cidr}`);
      const inner = lines(clusters.join(' or '));
      for (const line of inner.slice(0, 20)) globalThis.process.stderr.write(`in clear: ${line}\n`);
      return { inner: inner.length, tunnel: lines('udp portrange 4500-4501 or udp port 500').length };
    };
  }

  /** Cuts the gateway from the WAN, or joins it again. */
  setWan(gateway: TestGateway, state: 'up' | 'down'): void {
    run('ip', '-n', this.wan, 'link', 'set', `w${gateway.index}`, state);
  }

  ip(gateway: TestGateway, ...args: readonly string[]): string {
    return run('ip', '-n', gateway.namespace, ...args);
  }

  nft(gateway: TestGateway, ...args: readonly string[]): string {
    return run('ip', 'netns', 'exec', gateway.namespace, 'nft', ...args);
  }

  /** Ends what still runs in the namespaces, by id, and removes them. */
  async close(): Promise<void> {
    for (const stop of this.#loops) await stop();
    for (const capture of this.children) capture.kill('SIGKILL');
    for (const name of run('ip', 'netns', 'list').split('\n')) {
      const namespace = name.split(' ')[0] ?? '';
      if (!namespace.startsWith(`${this.id}-`)) continue;
      for (const pid of run('ip', 'netns', 'pids', namespace).split('\n')) {
        if (pid !== '') process.kill(Number(pid), 'SIGKILL');
      }
      run('ip', 'netns', 'del', namespace);
    }
    forgetSockets(this.#folder);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** An engine that is not stopped leaves a link to the socket of its wireguard-go. */
function forgetSockets(folder: string): void {
  const shown = '/var/run/wireguard';
  const names = existsSync(shown) ? readdirSync(shown) : [];
  for (const name of names) {
    const file = path.join(shown, name);
    if (lstatSync(file).isSymbolicLink() && readlinkSync(file).startsWith(folder)) rmSync(file, { force: true });
  }
}

/** A signal that never aborts. */
export const forever = new AbortController().signal;
