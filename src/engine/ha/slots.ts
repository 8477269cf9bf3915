import { GATEWAY_SLOTS, type ClusterGateways } from '../../api/gateways.ts';
import type { EndpointSpec } from '../../api/types.ts';
import { compareNames } from './report.ts';

/** Which gateways of the own cluster are announced, and which have to wait for a slot. */
export interface SlotAssignment {
  readonly announced: ClusterGateways;
  /** Cable names. */
  readonly waiting: readonly string[];
}

/**
 * Gives the gateways that are there their slots. Who has one keeps it; a slot that is free, or whose gateway is gone, goes
 * to one that waits, in the order of names. The active one always has a slot: of a waiting one if need be, else it takes
 * the last one.
 */
export function assignSlots(
  previous: ClusterGateways | undefined,
  present: readonly EndpointSpec[],
  { active, term }: { readonly active: string; readonly term: number },
): SlotAssignment {
  const specs = new Map(present.map((spec) => [spec.cable_name, spec]));
  const slots = slotsKept(previous, specs);
  const waiting = [...specs.keys()].filter((name) => !slots.includes(name)).sort(compareNames);
  const activeWaits = waiting.indexOf(active);
  if (activeWaits >= 0) {
    waiting.splice(activeWaits, 1);
    const free = slots.indexOf(undefined);
    const at = free >= 0 ? free : GATEWAY_SLOTS - 1;
    const displaced = slots[at];
    slots[at] = active;
    if (displaced !== undefined) waiting.push(displaced);
  }
  for (let slot = 0; slot < GATEWAY_SLOTS; slot += 1) slots[slot] ??= waiting.shift();
  const gateways = slots.flatMap((name, slot) => {
    const spec = specs.get(name ?? '');
    return spec === undefined ? [] : [{ slot, spec }];
  });
  return { announced: { term, gateways }, waiting: waiting.sort(compareNames) };
}

function slotsKept(
  previous: ClusterGateways | undefined,
  specs: ReadonlyMap<string, EndpointSpec>,
): (string | undefined)[] {
  const slots: (string | undefined)[] = Array.from({ length: GATEWAY_SLOTS }, () => undefined);
  for (const { slot, spec } of previous?.gateways ?? [])
    if (slot < GATEWAY_SLOTS && specs.has(spec.cable_name)) slots[slot] = spec.cable_name;
  return slots;
}
