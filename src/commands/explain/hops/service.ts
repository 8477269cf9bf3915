import type { EndpointSlice, Service } from '../../../kube/objects.ts';
import { bad, good, type ClusterEvidence, type End, type Finding } from '../model.ts';

/** The Service of an end. */
export function serviceOf(evidence: ClusterEvidence, { name, kind }: End): Service | undefined {
  if (kind !== 'service') return undefined;
  return evidence.services.find(({ metadata }) => `service ${metadata.namespace}/${metadata.name}` === name);
}

/** One pod behind a Service. */
export interface Backend {
  readonly address: string;
  readonly node: string | undefined;
  readonly pod: string | undefined;
}

function slicesOf(evidence: ClusterEvidence, { metadata }: Service): readonly EndpointSlice[] {
  return evidence.slices.filter(
    (slice) =>
      slice.metadata.namespace === metadata.namespace &&
      slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name,
  );
}

/** The ready pods behind a Service. */
export function backendsOf(evidence: ClusterEvidence, service: Service): readonly Backend[] {
  return slicesOf(evidence, service)
    .flatMap(({ endpoints }) => endpoints)
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses, nodeName, targetRef }) =>
      addresses.map((address) => ({
        address,
        node: nodeName,
        pod: targetRef?.name === undefined ? undefined : `${targetRef.namespace ?? ''}/${targetRef.name}`,
      })),
    );
}

/** What becomes of a packet for a Service on the gateway of its cluster; `chosen` is the pod that is followed on. */
export function serviceFinding(
  evidence: ClusterEvidence,
  end: End,
  service: Service,
  chosen: Backend | undefined,
): Finding {
  const backends = backendsOf(evidence, service);
  const look = `kubectl ${evidence.context === undefined ? '' : `--context ${evidence.context} `}-n ${service.metadata.namespace} get endpointslices,pods -o wide`;
  if (chosen === undefined) {
    return bad('broken', `${end.address}, no pods`, `${end.name} has no ready pod behind it`, look);
  }
  const ports = (service.spec.ports ?? []).map(({ port, protocol = 'TCP' }) => `${port}/${protocol}`).join(', ');
  const pod = chosen.pod === undefined ? chosen.address : `pod ${chosen.pod} (${chosen.address})`;
  return good(`${end.address}:${ports} -> ${pod}, one of ${backends.length}`);
}
