import type { PeerReport } from '../../../src/engine/ha/report.ts';

/** A report of a peer that is well; the cluster is the part of its name before the digit (a1 is of cluster a). */
export function peer(cableName: string, over: Partial<PeerReport> = {}): PeerReport {
  return {
    cableName,
    clusterId: cableName.replace(/\d+$/, ''),
    state: 'alive',
    sinceMs: 0,
    stable: over.state === undefined || over.state === 'alive',
    active: false,
    term: 0,
    ready: true,
    hears: [],
    uses: new Map(),
    ...over,
  };
}
