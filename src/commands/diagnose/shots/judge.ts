import type { Finding } from '../check.ts';
import type { ShotResult } from './model.ts';

/** Where packets of a shot are lost; undefined when they arrive. */
export function lossOf({ shot, sent, left, arrived, accepted, failure }: ShotResult): string | undefined {
  const { from, to, port, purpose } = shot;
  const what = `UDP port ${port} (${purpose})`;
  if (failure !== '') return `${what}: could not be tried: ${failure}`;
  if (left === 0)
    return `${what}: packets to ${to.address} do not leave node ${from.node}: its own filter, or no route`;
  if (arrived === 0) return `${what}: packets from ${from.address} do not arrive at ${to.address}: blocked on the way`;
  if (accepted === 0)
    return `${what}: packets from ${from.address} arrive, but a filter of node ${to.node} itself drops them`;
  const missing = arrived === null ? 0 : sent - arrived;
  return missing > 0
    ? `${what}: ${missing} of ${sent} packets from ${from.address} to ${to.address} were lost`
    : undefined;
}

/** Findings about shots: each names both nodes and the place where packets are lost. */
export function judgeShots(results: readonly ShotResult[]): readonly Finding[] {
  return results.flatMap((result) => {
    const reason = lossOf(result);
    const { from, to } = result.shot;
    return reason === undefined ? [] : [{ object: `${from.node} -> ${to.node}`, reason }];
  });
}
