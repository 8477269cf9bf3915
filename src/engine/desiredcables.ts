import { slotPortKey } from '../api/gateways.ts';
import type { EndpointSpec } from '../api/types.ts';
import type { Remote, Remotes } from './cables.ts';
import type { Cable, CableLookup, DesiredCables } from './drivers/driver.ts';
import type { Decision } from './natdiscovery/discovery.ts';
import { parsePort } from './nodeconfig.ts';

/** What decides on cables besides the Endpoints. */
export interface CableContext {
  readonly decision: (cableName: string) => Decision | undefined;
  readonly udpPort: number;
  readonly cniAddress: string | undefined;
  readonly leader: boolean;
  /** The slot of this gateway as its cluster announces it; undefined: other clusters know it only when it leads. */
  readonly slot: number | undefined;
  /** cable_name of the gateway that carries the packets for a cluster. */
  readonly chosen: (clusterId: string) => string | undefined;
  readonly lookup: CableLookup;
}

/**
 * The cables of this gateway: to every gateway of clusters that announce theirs, one of which carries; to the active
 * gateway of others while this gateway leads.
 */
export function desiredCables(remotes: Remotes, local: EndpointSpec, context: CableContext): DesiredCables {
  const cables = remotes.accepted.flatMap((remote): readonly Cable[] => {
    const decision = context.decision(remote.spec.cable_name);
    const place = placeOf(remote, local, context);
    if (decision === undefined || decision.usingIp === '' || place === undefined) return [];
    return [
      {
        name: remote.spec.cable_name,
        remoteClusterId: remote.spec.cluster_id,
        localClusterId: local.cluster_id,
        localPrivateIp: local.private_ip,
        remotePrivateIp: remote.spec.private_ip,
        usingIp: decision.usingIp,
        usingNat: decision.usingNat,
        localSubnets: local.subnets,
        remoteSubnets: remote.spec.subnets,
        localConfig: local.backend_config ?? {},
        remoteConfig: remote.spec.backend_config ?? {},
        probeIp: remote.spec.healthCheckIP,
        ...place,
      },
    ];
  });
  const { guardedCidrs } = remotes;
  const { cniAddress, lookup } = context;
  return { cables, guardedCidrs: cables.length > 0 || context.leader ? guardedCidrs : [], cniAddress, lookup };
}

/** Whether there is to be a cable, decided or not yet. */
export function wantsCable(remote: Remote, local: EndpointSpec, context: CableContext): boolean {
  return placeOf(remote, local, context) !== undefined;
}

type Place = Pick<Cable, 'slot' | 'carries' | 'localUdpPort' | 'remoteUdpPort'>;

/**
 * Where the cable to a gateway is. Both ends must agree: each is in the other's instance of its own slot. A cluster
 * that announces nothing knows only instance 0 of who leads.
 */
function placeOf(remote: Remote, local: EndpointSpec, context: CableContext): Place | undefined {
  const { slot: ownSlot, leader, udpPort } = context;
  if (ownSlot === undefined || !remote.announced) {
    const alone = leader && remote.current;
    return alone ? { slot: 0, carries: true, localUdpPort: udpPort, remoteUdpPort: remote.udpPort } : undefined;
  }
  const localUdpPort = remote.slot === 0 ? udpPort : portOf(local, remote.slot);
  const remoteUdpPort = ownSlot === 0 ? remote.udpPort : portOf(remote.spec, ownSlot);
  if (localUdpPort === undefined || remoteUdpPort === undefined) return undefined;
  const carries = context.chosen(remote.spec.cluster_id) === remote.spec.cable_name;
  return { slot: remote.slot, carries, localUdpPort, remoteUdpPort };
}

function portOf(spec: EndpointSpec, slot: number): number | undefined {
  return parsePort(spec.backend_config?.[slotPortKey(slot)] ?? '');
}
