import { failedIf, skipped, type Check, type CheckContext, type Outcome } from './check.ts';
import { judgeShots } from './shots/judge.ts';
import type { Shot } from './shots/model.ts';

/** A check of the packets for one purpose that leave the cluster. */
function shots(purpose: Shot['purpose'], none: string): (context: CheckContext) => Promise<Outcome> {
  return async ({ cluster, shots: collect }) => {
    const all = await collect();
    const own = all.filter(({ shot }) => shot.purpose === purpose && shot.from.cluster === cluster.clusterId);
    return own.length === 0 ? skipped(none) : failedIf(judgeShots(own), `${own.length} ways`);
  };
}

const TWO = 'it takes two clusters, each with an active gateway';

/** Whether UDP packets between nodes and gateways arrive; proven by sending and counting some. */
export const FIREWALL_CHECKS: readonly Check[] = [
  {
    category: 'firewall',
    name: 'overlay',
    title: 'Overlay packets pass between the nodes and their gateway',
    hint: 'Open UDP port 4800 between all nodes of the cluster, both directions (docs/ports.md).',
    joinedOnly: true,
    run: shots('overlay', 'the cluster has no other node than its gateway, or no active gateway'),
  },
  {
    category: 'firewall',
    name: 'tunnel',
    title: 'Tunnel packets reach the gateways of the other clusters',
    hint: 'Open the UDP port of tunnels (4500 unless join --nattport says otherwise) between the gateway nodes, both directions (docs/ports.md).',
    joinedOnly: true,
    run: shots('tunnel', TWO),
  },
  {
    category: 'firewall',
    name: 'nat-discovery',
    title: 'NAT discovery packets reach the gateways of the other clusters',
    hint: 'Open UDP port 4490 between the gateway nodes, both directions (docs/ports.md); without it addresses are guessed.',
    joinedOnly: true,
    run: shots('NAT discovery', TWO),
  },
];
