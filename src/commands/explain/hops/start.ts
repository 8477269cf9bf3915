import { cidrContains } from '../../../net/cidr.ts';
import type { Leg } from '../leg.ts';
import { bad, good, type ClusterEvidence, type End, type Finding } from '../model.ts';

/** The pod of an end, as the API server has it. */
export function podOf(evidence: ClusterEvidence, { name, kind }: End): ClusterEvidence['pods'][number] | undefined {
  if (kind !== 'pod') return undefined;
  return evidence.pods.find(({ metadata }) => `pod ${metadata.namespace}/${metadata.name}` === name);
}

function isReady(pod: ClusterEvidence['pods'][number]): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
}

/** Whether the pod at an end runs; undefined for an end that is no pod. */
export function podFinding(evidence: ClusterEvidence, end: End): Finding | undefined {
  const pod = podOf(evidence, end);
  if (pod === undefined) return undefined;
  const phase = pod.status?.phase ?? 'Pending';
  const where = pod.spec.hostNetwork === true ? `in the network of node ${end.node}` : end.address;
  const look = `kubectl ${evidence.context === undefined ? '' : `--context ${evidence.context} `}-n ${pod.metadata.namespace} describe pod ${pod.metadata.name}`;
  if (phase !== 'Running') return bad('broken', `${phase}, ${where}`, `${end.name} does not run: it is ${phase}`, look);
  if (!isReady(pod)) return bad('warning', `runs, ${where}, not ready`, `${end.name} is not ready`, look);
  return good(`runs, ${where}`);
}

/** Whether the addresses of both ends are such that the other side knows a way to them. */
export function addressFinding({ from, a }: Leg): Finding {
  const announced = [...a.podCidrs, ...a.serviceCidrs];
  const inside = announced.find((cidr) => cidrContains(cidr, from.address));
  const known = `${from.address} is in ${inside}, which ${a.clusterId} announces`;
  if (inside !== undefined && from.kind !== 'address') return good(known);
  if (inside !== undefined) {
    return bad('warning', known, `no pod, node or Service of ${a.clusterId} is known to have ${from.address}`, '');
  }
  return bad(
    'broken',
    `${a.clusterId} announces ${announced.join(', ')}`,
    `${from.address} is in none of the CIDRs that ${a.clusterId} announces, so the other side knows no way to it`,
    `subctl join broker-info.subm${a.context === undefined ? '' : ` --context ${a.context}`} --clustercidr CIDRS announces others; subctl show networks shows them`,
  );
}
