import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { release } from 'node:os';
import { messageOf } from '../../runtime/errors.ts';
import { describeFailure, type CommandRunner } from '../command.ts';
import { probeKernelEsp } from '../esp.ts';
import type { KernelReport, Offer } from './protocol.ts';

const TUN = '/dev/net/tun';
const YES: Offer = { offered: true, reason: '' };

function no(error: unknown): Offer {
  return { offered: false, reason: describeFailure(error) };
}

/** Makes a link of a kind that stays down, and removes it. */
async function tryLink(runner: CommandRunner, kind: readonly string[]): Promise<Offer> {
  const name = `subctl-${randomBytes(3).toString('hex')}`;
  try {
    await runner.run('ip', ['link', 'add', name, 'type', ...kind]);
  } catch (error) {
    return no(error);
  }
  await runner.run('ip', ['link', 'del', name]);
  return YES;
}

/** What the route agent's rules need, made and removed in one transaction, so that it is never in force. */
export function firewallScript(table: string): string {
  return [
    `add table inet ${table}`,
    `add chain inet ${table} source { type nat hook postrouting priority 95; }`,
    `add rule inet ${table} source ip saddr 192.0.2.1 ip daddr 192.0.2.2 snat ip to ip saddr`,
    `add chain inet ${table} mss { type filter hook forward priority 0; }`,
    `add rule inet ${table} mss tcp flags syn tcp option maxseg size set rt mtu`,
    `delete table inet ${table}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}

async function tryFirewall(runner: CommandRunner): Promise<Offer> {
  const stdin = firewallScript(`subctl-${randomBytes(3).toString('hex')}`);
  return runner.run('nft', ['-f', '-'], { stdin }).then(() => YES, no);
}

async function tryEsp(runner: CommandRunner): Promise<Offer> {
  try {
    const { kernel, reason } = await probeKernelEsp(runner);
    return { offered: kernel, reason: kernel ? '' : reason };
  } catch (error) {
    return no(error);
  }
}

/** The device opens only when the kernel has the driver behind it. */
function tryTun(file: string): Offer {
  try {
    closeSync(openSync(file, 'r+'));
    return YES;
  } catch (error) {
    return { offered: false, reason: messageOf(error) };
  }
}

/** Finds out what the kernel of this node offers to cables and route agent, by making and removing it. */
export async function probeKernel(runner: CommandRunner, tunFile = TUN): Promise<KernelReport> {
  return {
    release: release(),
    vxlan: await tryLink(runner, ['vxlan', 'id', '16777215', 'dstport', '4800']),
    wireguard: await tryLink(runner, ['wireguard']),
    esp: await tryEsp(runner),
    nftables: await tryFirewall(runner),
    tun: tryTun(tunFile),
  };
}
