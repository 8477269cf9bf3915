import { cidrsOverlap, ipFamily } from '../../net/cidr.ts';
import { calico } from './calico.ts';
import { cilium } from './cilium.ts';
import { canal, flannel } from './flannel.ts';
import { apiServerFlags, controllerManagerFlags, kubeProxyFlags } from './flags.ts';
import { invalidServiceIp } from './invalidserviceip.ts';
import { k3s } from './k3s.ts';
import { kindnet } from './kindnet.ts';
import { kubeadmConfig } from './kubeadm.ts';
import { kubeProxyConfig } from './kubeproxy.ts';
import type { ClusterObjects, DiscoverySource, Finding, FoundCidr } from './objects.ts';
import { openshift } from './openshift.ts';
import { ovnKubernetes } from './ovnkubernetes.ts';
import { nodePodCidrs } from './podcidrs.ts';
import { serviceCidrObjects } from './servicecidrs.ts';
import { weave } from './weave.ts';

/** What is known of a cluster's own networks, with the source of every value. */
export interface DiscoveredNetwork {
  readonly podCidrs: readonly FoundCidr[];
  readonly serviceCidrs: readonly FoundCidr[];
  /** The CNI in upstream's spelling; `generic` when none was recognised. */
  readonly plugin: string;
  /** Doubts and unreadable sources, one sentence each. */
  readonly problems: readonly string[];
}

/** Best first: what the cluster uses now, then what it was made with, then what can be inferred. */
const SERVICE_SOURCES: readonly DiscoverySource[] = [
  openshift,
  serviceCidrObjects,
  apiServerFlags,
  invalidServiceIp,
  ovnKubernetes,
  k3s,
  controllerManagerFlags,
  kubeadmConfig,
];
const POD_SOURCES: readonly DiscoverySource[] = [
  openshift,
  ovnKubernetes,
  canal,
  calico,
  cilium,
  flannel,
  weave,
  kindnet,
  k3s,
  controllerManagerFlags,
  kubeadmConfig,
  kubeProxyConfig,
  kubeProxyFlags,
  nodePodCidrs,
];

/** All CIDRs of the first finding that has any of the family. */
function best(findings: readonly (readonly FoundCidr[])[], family: 4 | 6): readonly FoundCidr[] {
  const ofFamily = findings.map((found) => found.filter(({ cidr }) => ipFamily(cidr) === family));
  return ofFamily.find((found) => found.length > 0) ?? [];
}

function bestOfBoth(findings: readonly (readonly FoundCidr[])[]): readonly FoundCidr[] {
  const seen = new Set<string>();
  return [...best(findings, 4), ...best(findings, 6)].filter(({ cidr }) => !seen.has(cidr) && seen.add(cidr));
}

/** Sentences about values that later sources contradict, which often means a stale kubeadm-config. */
function doubts(
  what: string,
  chosen: readonly FoundCidr[],
  findings: readonly (readonly FoundCidr[])[],
): readonly string[] {
  if (chosen.length === 0) return [];
  const strangers = findings.flat().filter((found) => !chosen.some(({ cidr }) => cidrsOverlap(cidr, found.cidr)));
  const sameFamily = strangers.filter((found) => chosen.some(({ cidr }) => ipFamily(cidr) === ipFamily(found.cidr)));
  const first = chosen[0];
  return sameFamily.map(
    ({ cidr, source }) => `${source} says ${what} ${cidr}; used is ${first?.cidr} from ${first?.source}`,
  );
}

function nodeOnly(chosen: readonly FoundCidr[]): readonly string[] {
  if (!chosen.some(({ source }) => source.startsWith('Node ') || source.startsWith('CiliumNode '))) return [];
  return [
    'pod CIDRs are known only per node, so a node added later is not covered: give the whole range with --clustercidr',
  ];
}

/** Combines all sources: per family the best source wins and all of its CIDRs are kept. Pure. */
export function combineSources(objects: ClusterObjects): DiscoveredNetwork {
  const findings = new Map<DiscoverySource, Finding>();
  for (const source of [...SERVICE_SOURCES, ...POD_SOURCES]) {
    if (!findings.has(source)) findings.set(source, source(objects));
  }
  const pods = POD_SOURCES.map((source) => findings.get(source)?.pods ?? []);
  const services = SERVICE_SOURCES.map((source) => findings.get(source)?.services ?? []);
  const podCidrs = bestOfBoth(pods);
  const serviceCidrs = bestOfBoth(services);
  const plugin = POD_SOURCES.map((source) => findings.get(source)?.plugin).find((name) => name !== undefined);
  return {
    podCidrs,
    serviceCidrs,
    plugin: plugin ?? 'generic',
    problems: [
      ...objects.problems,
      ...[...findings.values()].flatMap(({ problems }) => problems ?? []),
      ...doubts('the pod CIDR is', podCidrs, pods),
      ...doubts('the service CIDR is', serviceCidrs, services),
      ...nodeOnly(podCidrs),
    ],
  };
}
