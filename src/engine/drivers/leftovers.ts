import path from 'node:path';
import { GATEWAY_SLOTS } from '../../api/gateways.ts';
import type { CommandRunner } from '../../host/command.ts';
import { stopDaemon } from '../../host/daemon.ts';
import { applyPlan, observeNetwork } from '../../host/network.ts';
import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import type { PlanStep } from '../../net/plan.ts';

/** Folder of the charon of a slot, below the state directory. */
export function charonFolder(stateDir: string, slot: number): string {
  return path.join(stateDir, slot === 0 ? 'charon' : `charon${slot}`);
}

/** Folder of the WireGuard of a slot, below the state directory; the first one has the key of all. */
export function wireguardFolder(stateDir: string, slot: number): string {
  return path.join(stateDir, slot === 0 ? 'wireguard' : `wireguard${slot}`);
}

/**
 * Ends the daemons and removes the links another driver left behind: they hold the UDP port of tunnels. Its guard
 * stays, and with its links gone drops everything, until the first sync of this driver.
 */
export async function retireOtherDrivers(
  dependencies: { readonly runner: CommandRunner; readonly stateDir: string },
  own: { readonly links: readonly string[]; readonly daemon?: 'charon' | 'wireguard' },
  signal?: AbortSignal,
): Promise<void> {
  const { runner, stateDir } = dependencies;
  for (let slot = 0; slot < GATEWAY_SLOTS; slot += 1) {
    if (own.daemon !== 'charon') await stopDaemon(charonFolder(stateDir, slot));
    if (own.daemon !== 'wireguard') await stopDaemon(wireguardFolder(stateDir, slot));
  }
  const { links } = await observeNetwork(runner, ENGINE_OWNERSHIP, { sysctls: [] }, signal);
  const plan = links
    .filter((link) => !own.links.includes(link.name))
    .map((link): PlanStep => ({ action: 'removeLink', link }));
  await applyPlan(runner, plan, ENGINE_OWNERSHIP);
}
