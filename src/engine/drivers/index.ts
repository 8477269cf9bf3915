import { UsageError } from '../../runtime/errors.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { CableDriver } from './driver.ts';
import { IpsecDriver } from './ipsec.ts';
import { VxlanDriver } from './vxlan.ts';
import { WireguardDriver } from './wireguard.ts';

export type { DriverDependencies } from './dependencies.ts';

/** The driver of this name: `ipsec` (in the API: `libreswan`), `wireguard` or `vxlan`. */
export function createDriver(name: string, dependencies: DriverDependencies): CableDriver {
  const logger = dependencies.logger.with({ driver: name });
  const own = { ...dependencies, logger };
  if (name === 'ipsec' || name === 'libreswan') return new IpsecDriver(own);
  if (name === 'wireguard') return new WireguardDriver(own);
  if (name === 'vxlan') return new VxlanDriver(own);
  throw new UsageError(`there is no cable driver ${JSON.stringify(name)}`, { hint: 'Use ipsec, wireguard or vxlan.' });
}
