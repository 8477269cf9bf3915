import { messageOf } from '../../runtime/errors.ts';
import { discoverNetwork } from '../discovery/index.ts';
import { type ClusterNetworks, cidrProblem, outerOverlaps } from '../join/cidrs.ts';
import { planGatewayNodes } from '../join/gatewaynodes.ts';
import { joinRights } from '../join/manifests.ts';
import { requireRights } from '../rights.ts';
import type { ShownCluster } from '../show/view.ts';
import { type Check, failedIf, type Finding, ok, skipped, warningIf } from './check.ts';

/** The networks join would announce: those recorded by an earlier join, else those discovered now. */
async function networksOf({ client, submariner }: ShownCluster): Promise<ClusterNetworks> {
  if (submariner !== undefined) {
    const cidrs = (text: string): readonly string[] => text.split(',').filter((cidr) => cidr !== '');
    const { clusterCIDR, serviceCIDR } = submariner.spec;
    return named(cidrs(clusterCIDR), cidrs(serviceCIDR));
  }
  const { podCidrs, serviceCidrs } = await discoverNetwork(client);
  return named(
    podCidrs.map(({ cidr }) => cidr),
    serviceCidrs.map(({ cidr }) => cidr),
  );
}

function named(podCidrs: readonly string[], serviceCidrs: readonly string[]): ClusterNetworks {
  return { podCidrs, serviceCidrs, podSource: '', serviceSource: '', plugin: '' };
}

function lacking(cluster: string, kind: string, cidrs: readonly string[]): readonly Finding[] {
  const object = `cluster ${cluster}`;
  if (cidrs.length === 0) return [{ object, reason: `its ${kind} CIDRs could not be discovered` }];
  return cidrs.flatMap((cidr) => {
    const reason = cidrProblem(cidr);
    return reason === undefined ? [] : [{ object, reason }];
  });
}

/** What can be known before a cluster joins without starting anything in it. */
export const PRE_CHECKS: readonly Check[] = [
  {
    category: 'pre',
    name: 'rights',
    title: 'The credentials may do what join does',
    hint: 'Use an administrator, or have the rights granted.',
    joinedOnly: false,
    run: async ({ cluster }) => {
      try {
        const rights = joinRights(cluster.submariner !== undefined);
        await requireRights([{ where: cluster.name, client: cluster.client, rights }]);
        return ok();
      } catch (error) {
        return failedIf([{ object: `context ${cluster.name}`, reason: messageOf(error).replaceAll(/\s+/g, ' ') }]);
      }
    },
  },
  {
    category: 'pre',
    name: 'networks',
    title: 'The CIDRs of pods and Services are known, and can be announced',
    hint: 'Give them to join with --clustercidr and --servicecidr.',
    joinedOnly: false,
    run: async ({ cluster }) => {
      const { podCidrs, serviceCidrs } = await networksOf(cluster);
      const findings = [
        ...lacking(cluster.clusterId, 'pod', podCidrs),
        ...lacking(cluster.clusterId, 'service', serviceCidrs),
      ];
      return failedIf(findings, `pods ${podCidrs.join(', ')}, Services ${serviceCidrs.join(', ')}`);
    },
  },
  {
    category: 'pre',
    name: 'overlaps',
    title: 'No other cluster has the same addresses',
    hint: 'Clusters of a set need different pod and service CIDRs; look at all of them: subctl diagnose --pre --contexts east,west.',
    joinedOnly: false,
    run: async ({ cluster, everyone }) => {
      const others = everyone.filter((one) => one !== cluster);
      if (others.length === 0) return skipped('no other cluster is looked at');
      const own = await networksOf(cluster);
      const theirs = await Promise.all(
        others.map(async (one) => {
          const { podCidrs, serviceCidrs } = await networksOf(one);
          return { clusterId: one.clusterId, cidrs: [...podCidrs, ...serviceCidrs] };
        }),
      );
      const object = `cluster ${cluster.clusterId}`;
      const findings = outerOverlaps(own, theirs).map((reason) => ({ object, reason }));
      return failedIf(findings, `compared with ${others.map(({ clusterId }) => clusterId).join(', ')}`);
    },
  },
  {
    category: 'pre',
    name: 'gateways',
    title: 'Nodes can be gateways, at least two of them',
    hint: 'Add workers, or name nodes with --gateway-nodes. With two gateways one takes over when the other fails.',
    joinedOnly: false,
    run: async ({ cluster }) => {
      const nodes = await cluster.facts.nodes();
      const object = `cluster ${cluster.clusterId}`;
      try {
        planGatewayNodes(nodes, { named: [], count: 2, mayLabel: true });
        return ok();
      } catch (error) {
        const one = { named: [], count: 1, mayLabel: true };
        const reason = messageOf(error);
        try {
          planGatewayNodes(nodes, one);
          return warningIf([{ object, reason }]);
        } catch {
          return failedIf([{ object, reason }]);
        }
      }
    },
  },
];
