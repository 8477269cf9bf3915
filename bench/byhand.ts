import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ClusterPlan, NodePlan } from '../src/sandbox/plan.ts';
import { inside, pause, run } from './command.ts';
import type { BenchSandbox, Driver } from './sandbox.ts';

/** The sizes of packets on the way, in bytes. */
export interface Mtus {
  readonly overlay: number;
  readonly cable: number;
}

/** One cluster and the one it is joined with. */
interface Side {
  readonly index: number;
  readonly local: ClusterPlan;
  readonly remote: ClusterPlan;
  readonly gateway: NodePlan;
  readonly worker: NodePlan;
  readonly peer: NodePlan;
}

interface Site {
  readonly sides: readonly Side[];
  readonly mtus: Mtus;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly processes: ChildProcess[];
}

const PORT = 4500;
const WAIT_MS = 15_000;

/** Waits until something is so; rejects after 15 s. */
async function until(what: string, signal: AbortSignal, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`by hand: waited ${WAIT_MS / 1000} s for ${what}`);
    await pause(20, signal);
  }
}

async function ip(node: NodePlan, lines: string): Promise<void> {
  for (const line of lines.split('\n').map((text) => text.trim())) {
    if (line !== '') await run(['ip', '-n', node.namespace, ...line.split(' ')]);
  }
}

function vtep(first: number, node: NodePlan): string {
  return [first, ...node.address.split('.').slice(1)].join('.');
}

function vxlan(link: string, settings: readonly [vni: number, port: number, mtu: number], at: NodePlan): string {
  const [vni, port, mtu] = settings;
  return `link add ${link} mtu ${mtu} type vxlan id ${vni} dstport ${port} local ${at.address} dev ${at.uplink} nolearning`;
}

/**
 * Pod addresses cross as they are, though the CNI masquerades what leaves its network; TCP knows from its first packet
 * what fits into the tunnel.
 */
async function prepareForward({ local, remote }: Side, node: NodePlan): Promise<void> {
  const script = `table ip by-hand {
    chain keep {
      type nat hook postrouting priority srcnat - 5;
      ip saddr ${local.podCidr} ip daddr ${remote.podCidr} snat to ip saddr
      ip saddr ${remote.podCidr} ip daddr ${local.podCidr} snat to ip saddr
    }
    chain clamp {
      type filter hook forward priority mangle;
      tcp flags syn tcp option maxseg size set rt mtu
    }
  }`;
  await run(inside(node.namespace, 'nft', '-f', '-'), { input: script });
}

/** The hop from the worker to its gateway. */
async function overlay(side: Side, { mtus }: Site): Promise<void> {
  const { gateway, worker, remote } = side;
  for (const [node, other] of [
    [gateway, worker],
    [worker, gateway],
  ] as const) {
    await ip(
      node,
      `${vxlan('hand-overlay', [100, 4800, mtus.overlay], node)}
       addr add ${vtep(240, node)}/8 dev hand-overlay
       link set hand-overlay up`,
    );
    const words = ['fdb', 'append', '00:00:00:00:00:00', 'dev', 'hand-overlay', 'dst', other.address];
    await run(['bridge', '-n', node.namespace, ...words]);
    await prepareForward(side, node);
  }
  await ip(worker, `route add ${remote.podCidr} via ${vtep(240, gateway)} dev hand-overlay src ${worker.podGateway}`);
}

async function routeThrough({ gateway, remote }: Side, link: string, via = ''): Promise<void> {
  await ip(
    gateway,
    `rule add pref 100 lookup 100
     route add ${remote.podCidr}${via === '' ? '' : ` via ${via}`} dev ${link} src ${gateway.podGateway} table 100`,
  );
}

async function cableVxlan({ sides, mtus }: Site): Promise<void> {
  for (const side of sides) {
    const { gateway, peer } = side;
    await ip(
      gateway,
      `${vxlan('hand-cable', [1000, PORT, mtus.cable], gateway)}
       addr add ${vtep(241, gateway)}/8 dev hand-cable
       link set hand-cable up`,
    );
    const words = ['fdb', 'append', '00:00:00:00:00:00', 'dev', 'hand-cable', 'dst', peer.address];
    await run(['bridge', '-n', gateway.namespace, ...words]);
    await routeThrough(side, 'hand-cable', vtep(241, peer));
  }
}

function start(site: Site, side: Side, argv: readonly string[], env: Readonly<Record<string, string>>): void {
  const [file = '', ...args] = inside(side.gateway.namespace, ...argv);
  // In a session of its own, as daemons are: the kernel's autogroups share the processors between sessions.
  const child = spawn(file, args, { stdio: 'ignore', env: { ...process.env, ...env }, detached: true });
  child.once('error', () => undefined);
  site.processes.push(child);
}

/** The kernel's WireGuard where there is one, else wireguard-go. */
async function wireguardLink(site: Site, side: Side, link: string): Promise<void> {
  try {
    await ip(side.gateway, `link add ${link} type wireguard`);
  } catch {
    start(site, side, ['wireguard-go', '-f', link], { LOG_LEVEL: 'error' });
    await until('wireguard-go', site.signal, () => existsSync(`/run/wireguard/${link}.sock`));
  }
}

async function cableWireguard(site: Site): Promise<void> {
  const id = randomBytes(3).toString('hex');
  const keys = await Promise.all(site.sides.map(async () => (await run(['wg', 'genkey'])).trim()));
  const publicKeys = await Promise.all(keys.map(async (key) => (await run(['wg', 'pubkey'], { input: key })).trim()));
  for (const [position, side] of site.sides.entries()) {
    const { gateway, remote, peer } = side;
    // wireguard-go has one folder of sockets for all namespaces.
    const link = `hand-${id}-${position}`;
    await wireguardLink(site, side, link);
    const keyFile = path.join(site.folder, `wireguard-${position}.key`);
    writeFileSync(keyFile, keys[position]!, { mode: 0o600 });
    const own = ['listen-port', String(PORT), 'private-key', keyFile];
    const other = ['peer', publicKeys[1 - position]!, 'endpoint', `${peer.address}:${PORT}`];
    const words = ['wg', 'set', link, ...own, ...other, 'allowed-ips', `${remote.podCidr},${remote.serviceCidr}`];
    await run(inside(gateway.namespace, ...words));
    await ip(gateway, `link set ${link} mtu ${site.mtus.cable} up`);
    await routeThrough(side, link);
  }
}

function charonConf(folder: string): string {
  return `charon {
  load = random nonce openssl pem pkcs1 x509 pubkey hmac kdf gcm kernel-libipsec kernel-netlink socket-default vici
  threads = 16
  port = 0
  port_nat_t = ${PORT}
  plugins {
    vici {
      socket = unix://${folder}/charon.vici
    }
  }
}
swanctl {
  load = random pem openssl
}
`;
}

/** A pair of SAs for each pair of networks, as such a tunnel has them whoever sets it up. */
function childrenOf({ local, remote }: Side): readonly { readonly name: string; readonly text: string }[] {
  return [local.podCidr, local.serviceCidr].flatMap((from, own) =>
    [remote.podCidr, remote.serviceCidr].map((to, other) => {
      const name = `pair-${own}-${other}`;
      const text = `      ${name} {
        local_ts = ${from}
        remote_ts = ${to}
        esp_proposals = aes256gcm16
        mode = tunnel
      }`;
      return { name, text };
    }),
  );
}

function swanctlConf(side: Side): string {
  const { gateway, peer } = side;
  const children = childrenOf(side).map(({ text }) => text);
  return `connections {
  cable {
    version = 2
    local_addrs = ${gateway.address}
    remote_addrs = ${peer.address}
    local_port = ${PORT}
    remote_port = ${PORT}
    encap = yes
    mobike = no
    proposals = aes256gcm16-prfsha256-ecp256
    local {
      auth = psk
      id = ${gateway.address}
    }
    remote {
      auth = psk
      id = ${peer.address}
    }
    children {
${children.join('\n')}
    }
  }
}
secrets {
  ike-cable {
    id-1 = ${gateway.address}
    id-2 = ${peer.address}
    secret = "by hand"
  }
}
`;
}

async function cableIpsec(site: Site): Promise<void> {
  const folders = site.sides.map(({ index }) => path.join(site.folder, `charon-${index}`));
  const swanctl = (folder: string, ...words: readonly string[]): Promise<string> =>
    run(['swanctl', ...words, '--uri', `unix://${folder}/charon.vici`], {
      env: { STRONGSWAN_CONF: `${folder}/strongswan.conf` },
      signal: site.signal,
    });
  for (const [position, side] of site.sides.entries()) {
    const folder = folders[position]!;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/strongswan.conf`, charonConf(folder));
    writeFileSync(`${folder}/swanctl.conf`, swanctlConf(side), { mode: 0o600 });
    // kernel-libipsec wants an address of this machine in each network.
    await ip(side.gateway, `addr add ${side.local.serviceCidr.replace(/\/.*/, '/32')} dev lo`);
    start(site, side, ['/usr/sbin/charon-systemd'], { STRONGSWAN_CONF: `${folder}/strongswan.conf` });
    await until('charon', site.signal, () => existsSync(`${folder}/charon.vici`));
    await swanctl(folder, '--load-all', '--file', `${folder}/swanctl.conf`);
  }
  for (const { name } of childrenOf(site.sides[0]!)) await swanctl(folders[0]!, '--initiate', '--child', name);
  for (const side of site.sides) {
    await ip(side.gateway, `link set ipsec0 mtu ${site.mtus.cable}`);
    await routeThrough(side, 'ipsec0');
  }
}

/**
 * Joins the two clusters of a sandbox that has not been joined, with the tools an operator would use: the same path
 * with the same packet sizes as subctl's, and nothing that is not needed. `end` ends the processes it started; links,
 * routes and rules go with the sandbox.
 */
export async function joinByHand(
  { plan, folder }: BenchSandbox,
  how: { readonly driver: Driver; readonly mtus: Mtus },
  signal: AbortSignal,
): Promise<{ readonly end: () => Promise<void> }> {
  const [east, west] = plan.clusters as readonly [ClusterPlan, ClusterPlan];
  const side = (index: number, local: ClusterPlan, remote: ClusterPlan): Side => {
    const [gateway, worker] = local.nodes as readonly [NodePlan, NodePlan];
    return { index, local, remote, gateway, worker, peer: remote.nodes[0]! };
  };
  const sides = [side(0, east, west), side(1, west, east)];
  const site: Site = { sides, mtus: how.mtus, folder, signal, processes: [] };
  const end = async (): Promise<void> => {
    const ended = site.processes.map(
      (child) =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null || !child.kill()) resolve();
          else child.once('exit', () => resolve());
        }),
    );
    await Promise.all(ended);
  };
  try {
    for (const one of sides) await overlay(one, site);
    await { ipsec: cableIpsec, wireguard: cableWireguard, vxlan: cableVxlan }[how.driver](site);
    return { end };
  } catch (error) {
    await end();
    throw error;
  }
}
