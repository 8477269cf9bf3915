import { cidrContains } from '../../net/cidr.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { ConfigMap } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { failedIf, ok, skipped, warningIf, type Check, type CheckContext, type Outcome } from './check.ts';
import { isReadyNode } from './cluster.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** The link that kube-proxy makes in IPVS mode. */
const IPVS_LINK = 'kube-ipvs0';

async function ipvsNodes({ cluster }: CheckContext): Promise<readonly string[]> {
  const nodes = (await cluster.facts.nodes()).filter(isReadyNode).map(({ metadata }) => metadata.name ?? '');
  const found = await Promise.all(
    nodes.map(async (node) => {
      try {
        const { observed } = await cluster.facts.routeAgent(node);
        return observed.node?.links.some(({ name }) => name === IPVS_LINK) === true ? [node] : [];
      } catch (error) {
        if (error instanceof ExpectedError) return [];
        throw error;
      }
    }),
  );
  return found.flat();
}

async function mode(context: CheckContext): Promise<Outcome> {
  const nodes = await ipvsNodes(context);
  if (nodes.length > 0) {
    return warningIf([
      { object: `nodes ${nodes.join(', ')}`, reason: `have the link ${IPVS_LINK}: kube-proxy runs in IPVS mode` },
    ]);
  }
  try {
    const config = await context.cluster.client.find<ConfigMap>(RESOURCES.configMaps, 'kube-proxy', {
      namespace: 'kube-system',
    });
    const [, configured] = /^\s*mode:\s*"?([a-z]*)"?\s*$/m.exec(config?.data?.['config.conf'] ?? '') ?? [];
    return ok(config === undefined ? 'no IPVS; there is no ConfigMap kube-proxy' : configured || 'iptables');
  } catch (error) {
    if (isForbidden(error)) return skipped('no right to look at ConfigMap kube-system/kube-proxy');
    throw error;
  }
}

/** The ClusterIPs of the cluster have to be among those it announces, else nobody else reaches them. */
async function range({ cluster }: CheckContext): Promise<Outcome> {
  const { serviceCIDR = '' } = cluster.submariner?.spec ?? {};
  const cidrs = serviceCIDR.split(',').filter((cidr) => cidr !== '');
  const service = await cluster.client.find<{
    readonly spec: { readonly clusterIP?: string };
    readonly metadata: object;
  }>(RESOURCES.services, 'kubernetes', { namespace: 'default' });
  const address = service?.spec.clusterIP;
  if (address === undefined || cidrs.length === 0)
    return skipped('no Service CIDR is recorded, or there is no Service kubernetes');
  const isInside = cidrs.some((cidr) => cidrContains(cidr, address));
  const reason = `${address} is not in the announced Service CIDRs ${cidrs.join(', ')}`;
  return failedIf(isInside ? [] : [{ object: 'Service default/kubernetes', reason }], cidrs.join(', '));
}

/** What makes Services work. */
export const KUBE_PROXY_CHECKS: readonly Check[] = [
  {
    category: 'kube-proxy',
    name: 'mode',
    title: 'The mode of kube-proxy is one that this release was tried with',
    hint: 'IPVS was not tried: subctl diagnose connections and subctl explain FROM service/NAME prove whether it works.',
    joinedOnly: true,
    run: mode,
  },
  {
    category: 'kube-proxy',
    name: 'range',
    title: 'Services have addresses that the cluster announces',
    hint: 'subctl join broker-info.subm --servicecidr CIDR announces the right ones; subctl show networks shows what was found.',
    joinedOnly: true,
    run: range,
  },
];
