import { GATEWAY_SLOTS, slotPortKey } from '../../api/gateways.ts';
import { observeNetwork } from '../../host/network.ts';
import { takenPort } from '../../host/port-owner.ts';
import { observeUnderlay } from '../../host/underlay.ts';
import { ENGINE_OWNERSHIP, VXLAN_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { messageOf } from '../../runtime/errors.ts';
import { missingRoutes } from './cable-routes.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Cable, CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { syncNetwork } from './network-sync.ts';
import { retireOtherDrivers } from './leftovers.ts';
import { desiredVxlan, vtepProblems } from './vxlan-network.ts';

/** Cables as a VXLAN between gateways; not encrypted. Speaks with upstream's `vxlan` driver. */
export class VxlanDriver implements CableDriver {
  readonly name = 'vxlan';
  /** One link for all cables: a VXLAN takes packets of every source from every gateway. */
  readonly slots = GATEWAY_SLOTS;
  readonly description = 'VXLAN, not encrypted';
  readonly #dependencies: DriverDependencies;
  /** Only gives names to what the kernel is found to have. */
  #cables: readonly Cable[] = [];

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
  }

  async start(signal: AbortSignal, after?: 'release'): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    if (after === 'release') return;
    await retireOtherDrivers(this.#dependencies, { links: [VXLAN_CABLE.link] }, signal);
    await observeUnderlay(runner, privateIp, signal);
  }

  async prepare(): Promise<readonly string[]> {
    return [];
  }

  async backendConfig(): Promise<Record<string, string>> {
    return { [slotPortKey(1)]: String(this.#dependencies.udpPort) };
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    const { runner, privateIp, udpPort } = this.#dependencies;
    this.#cables = desired.cables;
    const underlay = await observeUnderlay(runner, privateIp, signal);
    try {
      await syncNetwork(this.#dependencies, desiredVxlan(desired, { privateIp, udpPort, underlay }), signal);
    } catch (error) {
      if (!messageOf(error).includes('Address already in use')) throw error;
      throw (await takenPort(runner, udpPort, 'VXLAN')) ?? error;
    }
  }

  async connections(): Promise<readonly ObservedCable[]> {
    const { runner, privateIp } = this.#dependencies;
    const problems = vtepProblems(this.#cables, privateIp);
    const observed = await observeNetwork(runner, ENGINE_OWNERSHIP, { sysctls: [] });
    const up = observed.links.some((link) => link.name === VXLAN_CABLE.link && link.up);
    const peers = new Set(observed.neighbours.map((neighbour) => neighbour.remote));
    return this.#cables.map((cable): ObservedCable => {
      const problem = problems.get(cable.name);
      if (problem !== undefined) return { cableName: cable.name, status: 'error', message: problem };
      if (!up || !peers.has(cable.usingIp) || missingRoutes(cable, observed.routes).length > 0) {
        return { cableName: cable.name, status: 'connecting', message: 'not programmed in the kernel yet' };
      }
      return {
        cableName: cable.name,
        status: 'connected',
        message: 'programmed in the kernel; whether packets arrive only the health check tells',
      };
    });
  }

  onChange(): void {
    // The kernel tells nothing about a VXLAN; the engine looks by itself.
  }

  async release(): Promise<() => Promise<void>> {
    const { runner } = this.#dependencies;
    await runner.run('ip', ['link', 'del', VXLAN_CABLE.link], { okExitCodes: [0, 1] });
    return async () => undefined;
  }

  async cleanup(): Promise<void> {
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }
}
