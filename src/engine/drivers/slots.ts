import { GATEWAY_SLOTS, slotPortKey } from '../../api/gateways.ts';
import type { Cable } from './driver.ts';

const LAST_PORT = 65_535;

/** How many tunnel instances have a UDP port, when the first has this one and each further one the next. */
export function slotsFrom(udpPort: number): number {
  return Math.min(GATEWAY_SLOTS, LAST_PORT - udpPort + 1);
}

/** The entries of `backend_config` with the ports of the further tunnel instances. */
export function portsOfSlots(udpPort: number, slots: number): Record<string, string> {
  const further = Array.from({ length: slots - 1 }, (_, index) => index + 1);
  return Object.fromEntries(further.map((slot) => [slotPortKey(slot), String(udpPort + slot)]));
}

/** The cables by the tunnel instance that holds them; the first instance is there also without any. */
export function slotsOf(cables: readonly Cable[]): ReadonlyMap<number, readonly Cable[]> {
  const bySlot = new Map<number, readonly Cable[]>([[0, []]]);
  for (const cable of cables) bySlot.set(cable.slot, [...(bySlot.get(cable.slot) ?? []), cable]);
  return bySlot;
}
