import { canonicalCidr, cidrsOverlap } from '../../net/cidr.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';

/** Networks of a cluster with where each list comes from. */
export interface ClusterNetworks {
  readonly podCidrs: readonly string[];
  readonly podSource: string;
  readonly serviceCidrs: readonly string[];
  readonly serviceSource: string;
  readonly plugin: string;
  /** Addresses by which other clusters reach it instead, when it has any. */
  readonly globalCidrs?: readonly string[];
}

/** Networks that another cluster of the set announces, or has claimed. */
export interface OtherNetworks {
  readonly clusterId: string;
  readonly cidrs: readonly string[];
}

/** Ranges no cluster can announce, with the reason. */
const RESERVED: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'is not a range of hosts'],
  ['127.0.0.0/8', 'is the loopback range'],
  ['169.254.0.0/16', 'is the link-local range'],
  ['224.0.0.0/4', 'is the multicast range'],
  ['240.0.0.0/8', 'is used inside every joined cluster (vx-submariner)'],
  ['241.0.0.0/8', 'is used between clusters (vxlan-tunnel)'],
  ['::1/128', 'is the loopback address'],
  ['fe80::/10', 'is the link-local range'],
  ['ff00::/8', 'is the multicast range'],
];

/** What is wrong with a CIDR that a cluster wants to announce; undefined when nothing is. */
export function cidrProblem(text: string): string | undefined {
  const cidr = canonicalCidr(text);
  if (cidr === undefined) return `${text} is not a CIDR such as 10.42.0.0/16`;
  if (cidr !== text) return `${text} has host bits set; the network is ${cidr}`;
  const reserved = RESERVED.find(([range]) => cidrsOverlap(range, cidr));
  return reserved === undefined ? undefined : `${text} cannot be announced: ${reserved[0]} ${reserved[1]}`;
}

/** CIDRs of a comma list given with a flag; throws UsageError that names every wrong one. */
export function parseCidrFlag(flag: string, text: string): readonly string[] {
  const cidrs = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const problems = cidrs.flatMap((cidr) => cidrProblem(cidr) ?? []);
  if (cidrs.length === 0) problems.push('no CIDR given');
  if (problems.length > 0) throw new UsageError(`${flag}: ${problems.join('; ')}`);
  return cidrs;
}

/** Sentences about pod and service CIDRs of one cluster that share addresses. */
function innerOverlaps({ podCidrs, serviceCidrs }: ClusterNetworks): readonly string[] {
  return podCidrs.flatMap((pod) =>
    serviceCidrs
      .filter((service) => cidrsOverlap(pod, service))
      .map((service) => `pod CIDR ${pod} overlaps service CIDR ${service}`),
  );
}

/** Sentences about own CIDRs that overlap those of other clusters, naming both. */
export function outerOverlaps(own: ClusterNetworks, others: readonly OtherNetworks[]): readonly string[] {
  const mine = [
    ...own.podCidrs.map((cidr) => ({ what: `pod CIDR ${cidr}`, cidr })),
    ...own.serviceCidrs.map((cidr) => ({ what: `service CIDR ${cidr}`, cidr })),
    ...(own.globalCidrs ?? []).map((cidr) => ({ what: `global CIDR ${cidr}`, cidr })),
  ];
  return others.flatMap(({ clusterId, cidrs }) =>
    mine.flatMap(({ what, cidr }) =>
      cidrs
        .filter((other) => cidrsOverlap(cidr, other))
        .map((other) => `${what} overlaps ${other} of cluster ${clusterId}`),
    ),
  );
}

/** Throws ExpectedError when CIDRs overlap within the cluster or with those of another one. */
export function refuseOverlaps(own: ClusterNetworks, others: readonly OtherNetworks[]): void {
  const overlaps = [...innerOverlaps(own), ...outerOverlaps(own, others)];
  if (overlaps.length === 0) return;
  throw new ExpectedError(`cannot join: ${overlaps.join('; ')}`, {
    hint: 'Clusters of a set need different pod and service CIDRs. If a CIDR was not found correctly, give it with --clustercidr or --servicecidr. Nothing was changed.',
  });
}
