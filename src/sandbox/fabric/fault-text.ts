import type { NetworkFault } from './fault-rules.ts';
import type { Pause } from './programs.ts';
import type { Refusal } from './refusals.ts';

/** Everything that can be wrong with a sandbox, save nodes without power. */
export type Fault = NetworkFault | Refusal | Pause;

const SCOPES = { wan: ' beyond its LAN', tunnels: ' of its tunnels' } as const;
const DIRECTIONS = { both: '', in: ' that comes in', out: ' that goes out' } as const;

/** What is wrong, as half a sentence: `east-1 loses every packet beyond its LAN`. */
export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'partition':
    case 'cut':
      return `${fault.a} and ${fault.b} are cut off from each other`;
    case 'paused':
      return `${fault.program} on ${fault.target} does nothing any more`;
    case 'refused':
      return `${fault.target} refuses connections${fault.only === undefined ? '' : ' from other networks'}`;
    default: {
      const scope = fault.only === undefined ? '' : SCOPES[fault.only];
      if (fault.kind === 'loss') return `${fault.target} loses ${fault.percent} % of its packets${scope}`;
      return `${fault.target} loses every packet${scope}${DIRECTIONS[fault.direction]}`;
    }
  }
}
