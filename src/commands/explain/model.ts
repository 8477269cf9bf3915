import type { EngineDaemonState, RouteAgentDaemonState } from '../../api/daemonstate.ts';
import type { Endpoint, Gateway } from '../../api/types.ts';
import type { NodeNetwork } from '../../net/nodenetwork.ts';
import type { NetworkState } from '../../net/state.ts';
import type { EndpointSlice, Node, Pod, Service } from '../../kube/objects.ts';

/** What a daemon says of itself, or why it says nothing. */
export type Answer<State> =
  { readonly state: State; readonly problem?: undefined } | { readonly state?: undefined; readonly problem: string };

/** The network of a node, whoever tells it. */
export interface NodeReading {
  readonly node: NodeNetwork | null;
  /** The route agent's row. */
  readonly own: NetworkState | null;
}

/** Echo requests from the network of a node. */
export interface Echo {
  readonly node: string;
  readonly address: string;
  readonly sent: number;
  readonly received: number;
  readonly rttMs: number | null;
  readonly failure: string;
}

/** All that is known of a cluster on a packet's way, read live or from an archive. */
export interface ClusterEvidence {
  readonly clusterId: string;
  /** Name in the kubeconfig, for commands; undefined when this is from an archive. */
  readonly context: string | undefined;
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
  readonly endpoints: readonly Endpoint[];
  readonly gateways: readonly Gateway[];
  readonly engines: ReadonlyMap<string, Answer<EngineDaemonState>>;
  readonly routeAgents: ReadonlyMap<string, Answer<RouteAgentDaemonState>>;
  readonly networks: ReadonlyMap<string, NodeReading>;
  /** Sent just now; none when this is from an archive. */
  readonly echoes: readonly Echo[];
}

/** One end of a packet's way. */
export interface End {
  readonly cluster: string;
  readonly kind: 'pod' | 'node' | 'service' | 'address';
  /** For people: `pod default/client`, `node east-2`, `10.130.2.3`. */
  readonly name: string;
  readonly address: string;
  /** Where it is; undefined for a service, and for an address nobody is known to have. */
  readonly node: string | undefined;
}

/** What a hop is about. */
export type HopKind =
  'pod' | 'address' | 'route agent' | 'route' | 'source' | 'overlay' | 'gateway' | 'cable' | 'service' | 'delivery';

/**
 * ok: as it should be. broken: what was read is wrong. silent: it looks right, but packets get no answer. unknown: could
 * not be read. warning: right, but worth knowing.
 */
export type HopStatus = 'ok' | 'warning' | 'unknown' | 'silent' | 'broken';

/** What was found at one hop. */
export interface Finding {
  readonly status: HopStatus;
  /** What was read there. */
  readonly detail: string;
  /** What is wrong; '' when nothing is. */
  readonly cause: string;
  /** What mends it; '' when nothing has to be. */
  readonly mend: string;
}

/** One hop of a packet's way. */
export interface Hop extends Finding {
  readonly way: 'there' | 'back';
  readonly cluster: string;
  readonly node: string;
  readonly what: HopKind;
}

/** All is well. */
export function good(detail: string): Finding {
  return { status: 'ok', detail, cause: '', mend: '' };
}

/** Something else than good. */
export function bad(status: Exclude<HopStatus, 'ok'>, detail: string, cause: string, mend: string): Finding {
  return { status, detail, cause, mend };
}
