import type { ProbeReport } from '../../../host/prober/protocol.ts';

/** Where packets start or end. */
export interface Place {
  /** Cluster ID. */
  readonly cluster: string;
  readonly node: string;
  /**
   * pod: a test pod on the node; node: the node itself; gateway: the address a gateway is probed at, through its cable;
   * underlay: the address its tunnel packets go to.
   */
  readonly kind: 'pod' | 'node' | 'gateway' | 'underlay';
  readonly address: string;
}

/** Test packets from one place to another. */
export interface Crossing {
  readonly from: Place;
  readonly to: Place;
  /** Undefined: nothing could be sent, `failure` says why. */
  readonly report: ProbeReport | undefined;
  readonly failure: string;
}

/** What became of all test packets of a set of clusters. */
export interface Traffic {
  readonly crossings: readonly Crossing[];
  /** Where nothing could be tried. */
  readonly untried: readonly { readonly cluster: string; readonly object: string; readonly reason: string }[];
}

/** A place in words. */
export function describePlace({ kind, node, cluster, address }: Place): string {
  if (kind === 'gateway') return `gateway ${node} of ${cluster}`;
  if (kind === 'underlay') return `${address} (gateway ${node} of ${cluster})`;
  return kind === 'pod' ? `pod on ${node}` : `node ${node}`;
}
