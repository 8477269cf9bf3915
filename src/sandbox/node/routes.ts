import type { Node } from '../../kube/objects.ts';
import type { Ownership } from '../../net/ownership.ts';
import { canonicalCidr, isIpAddress } from '../../net/cidr.ts';
import { EMPTY_STATE, type NetworkState, type RouteState } from '../../net/state.ts';
import type { NodeConfig } from './config.ts';

/** What the CNI of a sandbox writes on a node beside its nft tables: routes to the pods of the other nodes. */
export const CNI_OWNERSHIP: Ownership = {
  protocol: 90,
  nftTable: 'sandbox-routes',
  tables: [254],
  rulePriorities: [],
  links: [],
};

function internalAddress(node: Node): string | undefined {
  return node.status?.addresses?.find((one) => one.type === 'InternalIP' && isIpAddress(one.address))?.address;
}

/** Routes to the pods of all other nodes through their LAN addresses, as kindnet and flannel's host-gw make them. Pure. */
export function desiredRoutes(config: Pick<NodeConfig, 'node' | 'uplink'>, nodes: readonly Node[]): NetworkState {
  const routes = nodes
    .filter((node) => node.metadata.name !== config.node)
    .flatMap((node): readonly RouteState[] => {
      const via = internalAddress(node);
      const destination = canonicalCidr(node.spec?.podCIDR ?? '');
      if (via === undefined || destination === undefined) return [];
      return [{ destination, table: 254, link: config.uplink, via }];
    });
  return { ...EMPTY_STATE, routes };
}
