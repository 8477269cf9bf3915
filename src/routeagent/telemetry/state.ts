import type { CacheState, ProbeState, RouteAgentDaemonState } from '../../api/daemonstate.ts';
import type { CommandRunner } from '../../host/command.ts';
import { lookAtNode } from '../../host/look.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Store } from '../../kube/store.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../net/ownership.ts';
import { describeStep } from '../../net/plan.ts';
import { desiredNetwork } from '../desired/index.ts';
import type { Gathered } from '../inputs.ts';
import type { ProbeVerdict } from '../probes.ts';
import type { RouteAgentConfig, RouteAgentView } from '../routeagent.ts';

type Cache = Pick<Store<KubeObject>, 'synced' | 'problem' | 'list'>;

/** What a route agent is seen through. */
export interface RouteAgentSight {
  readonly config: RouteAgentConfig;
  readonly endpoints: Cache;
  readonly nodes: Cache;
  readonly runner: CommandRunner;
  readonly view: () => RouteAgentView;
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  readonly now: () => number;
}

/** The caches of a route agent. */
export function cacheStates({ endpoints, nodes }: RouteAgentSight): readonly CacheState[] {
  return Object.entries({ endpoints, nodes }).map(([resource, store]) => ({
    resource,
    synced: store.synced,
    objects: store.list().length,
    problem: store.problem ?? null,
  }));
}

/** What keeps the route agent from its work; a network it cannot bring about wholly is a problem, but not of this kind. */
export function unreadyReasons(sight: RouteAgentSight): readonly string[] {
  const unsynced = cacheStates(sight)
    .filter(({ synced }) => !synced)
    .map(({ resource, problem }) => `the ${resource} of the cluster are not known yet: ${problem ?? 'still listing'}`);
  if (unsynced.length > 0) return unsynced;
  const { gathered, failure } = sight.view();
  return gathered === undefined ? [failure ?? 'the node has not been looked at yet'] : [];
}

function probeState(address: string | undefined, verdict: ProbeVerdict | undefined): ProbeState | null {
  if (verdict === undefined) return null;
  const { status, message, latency } = verdict;
  return { address: address ?? '', status, message, latency: latency ?? null };
}

const NOTHING_KNOWN: RouteAgentDaemonState['inputs'] = {
  role: null,
  gatewayAddress: null,
  host: null,
  localCidrs: [],
  remoteCidrs: [],
  nodeAddresses: [],
  mssBytes: null,
  remotes: [],
};

function inputsOf(gathered: Gathered | undefined, verdict: RouteAgentView['verdict']): RouteAgentDaemonState['inputs'] {
  if (gathered === undefined) return NOTHING_KNOWN;
  const { inputs, remotes } = gathered;
  const { host, gateway, localCidrs, remoteCidrs, nodeAddresses, mssBytes } = inputs;
  return {
    role: gateway.role,
    gatewayAddress: gateway.role === 'worker' ? gateway.address : null,
    host: { underlay: host.underlay, cni: host.cni ?? null, strictLinks: host.strictLinks },
    localCidrs,
    remoteCidrs,
    nodeAddresses,
    mssBytes: mssBytes ?? null,
    remotes: remotes.map(({ spec, cidrs, refusal }) => ({
      spec,
      cidrs,
      refusal: refusal ?? null,
      probe: probeState(spec.healthCheckIP, verdict(spec.cluster_id)),
    })),
  };
}

/** Everything there is to know about a route agent and its part of the node, looked at now. */
export async function routeAgentState(sight: RouteAgentSight, signal: AbortSignal): Promise<RouteAgentDaemonState> {
  const { config, runner } = sight;
  const { gathered, failure, applied, verdict } = sight.view();
  const desired = gathered === undefined ? null : desiredNetwork(gathered.inputs);
  const look = await lookAtNode(runner, ROUTEAGENT_OWNERSHIP, desired, signal);
  return {
    daemon: 'routeagent',
    node: config.nodeName,
    cluster: config.clusterId,
    version: config.version,
    time: new Date(sight.now()).toISOString(),
    startedAt: new Date(sight.startedAtMs).toISOString(),
    unready: unreadyReasons(sight),
    problems: [...(failure === undefined ? [] : [failure]), ...(gathered?.problems ?? []), ...look.problems],
    caches: cacheStates(sight),
    plan:
      applied === undefined
        ? null
        : { time: new Date(applied.atMs).toISOString(), steps: applied.plan.flatMap(describeStep) },
    pending: look.pending,
    inputs: inputsOf(gathered, verdict),
    desired: { network: desired },
    observed: { network: look.network, nft: look.nft, node: look.node },
  };
}
