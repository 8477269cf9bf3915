import type { Cable, DesiredCables } from '../../../src/engine/drivers/driver.ts';
import { cableName } from '../../../src/api/names.ts';

/** The cable from cluster `west` (198.18.0.1) to cluster number n. */
export function cableTo(n: number, changes: Partial<Cable> = {}): Cable {
  return {
    name: cableName(`c${n}`, `198.18.0.${n}`),
    remoteClusterId: `c${n}`,
    localClusterId: 'west',
    localPrivateIp: '198.18.0.1',
    remotePrivateIp: `198.18.0.${n}`,
    usingIp: `198.18.0.${n}`,
    usingNat: false,
    localUdpPort: 4500,
    remoteUdpPort: 4500,
    localSubnets: ['100.65.0.0/16', '10.130.0.0/16'],
    remoteSubnets: [`100.${64 + n}.0.0/16`, `10.${129 + n}.0.0/16`],
    localConfig: {},
    remoteConfig: {},
    slot: 0,
    carries: true,
    probeIp: undefined,
    ...changes,
  };
}

/** The cable to the second gateway of cluster number n, 198.18.0.(n+100), in the second slot; it is ready and carries nothing. */
export function standbyTo(n: number, changes: Partial<Cable> = {}): Cable {
  const address = `198.18.0.${n + 100}`;
  const own = { name: cableName(`c${n}`, address), remotePrivateIp: address, usingIp: address };
  return cableTo(n, {
    ...own,
    slot: 1,
    localUdpPort: 4501,
    carries: false,
    probeIp: `10.${129 + n}.100.1`,
    ...changes,
  });
}

/** Cables to these, guarded, with the node's pod address. */
export function desiredOf(...cables: readonly Cable[]): DesiredCables {
  return {
    cables,
    guardedCidrs: cables.flatMap((cable) => cable.remoteSubnets),
    cniAddress: '10.130.1.1',
    lookup: 'all',
  };
}

export const NOTHING: DesiredCables = { cables: [], guardedCidrs: [], cniAddress: undefined, lookup: 'all' };
