import type { Container, EndpointSlice, Pod, Service, ServicePort } from '../../kube/objects.ts';
import type { ResourceType } from '../../kube/client.ts';
import { TOPOLOGY_NODE, type OlderEndpoint } from '../../kube/endpointslices.ts';
import { apiVersionOf, RESOURCES } from '../../kube/resources.ts';
import { shortHash } from './json.ts';
import { conditionOf, controllerReference, isFinished, isPodReady, isTerminating } from './pods.ts';
import { hasLabels } from '../../kube/selectors.ts';

/** Label with the name of the Service a slice belongs to. */
export const SERVICE_LABEL = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const CONTROLLER = 'endpointslice-controller.k8s.io';

type Endpoint = EndpointSlice['endpoints'][number];
type SlicePort = NonNullable<EndpointSlice['ports']>[number];

/** True when this controller wrote the slice. */
export function isManagedSlice(slice: EndpointSlice): boolean {
  return slice.metadata.labels?.[MANAGED_BY] === CONTROLLER;
}

function containerPort(containers: readonly Container[], name: string, protocol: string): number | undefined {
  return containers
    .flatMap((container) => container.ports ?? [])
    .find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)?.containerPort;
}

/** The number behind a Service's port on these pods: a targetPort may be a number or the name of a container's port. */
function targetOf(port: ServicePort, pods: readonly Pod[]): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  return pods
    .map((pod) => containerPort(pod.spec.containers, target, port.protocol ?? 'TCP'))
    .find((found) => found !== undefined);
}

function slicePort(port: ServicePort, pods: readonly Pod[]): SlicePort | undefined {
  const target = targetOf(port, pods);
  if (target === undefined) return undefined;
  return {
    name: port.name ?? '',
    protocol: port.protocol ?? 'TCP',
    port: target,
    ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
  };
}

function endpoint(pod: Pod, service: Service): Endpoint {
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  return {
    addresses: [pod.status?.podIP ?? ''],
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || isPodReady(pod),
      serving: conditionOf(pod.status?.conditions, 'Ready')?.status === 'True',
      terminating: isTerminating(pod),
    },
    ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  };
}

/** The slice a Service ought to have, undefined when it has no selector or is about to go. */
export function desiredSlice(service: Service, allPods: readonly Pod[]): EndpointSlice | undefined {
  const selector = service.spec.selector ?? {};
  if (Object.keys(selector).length === 0 || isTerminating(service) || service.spec.type === 'ExternalName')
    return undefined;
  const pods = allPods
    .filter((pod) => pod.metadata.namespace === service.metadata.namespace && hasLabels(pod.metadata.labels, selector))
    .filter((pod) => (pod.status?.podIP ?? '') !== '' && !isFinished(pod))
    .toSorted((a, b) => (a.metadata.name ?? '').localeCompare(b.metadata.name ?? ''));
  const name = service.metadata.name ?? '';
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${shortHash(service.metadata.uid ?? name).slice(0, 5)}`,
      ...(service.metadata.namespace === undefined ? {} : { namespace: service.metadata.namespace }),
      labels: { [SERVICE_LABEL]: name, [MANAGED_BY]: CONTROLLER },
      ownerReferences: [controllerReference(service, RESOURCES.services)],
    },
    addressType: 'IPv4',
    endpoints: pods.map((pod) => endpoint(pod, service)),
    ports: (service.spec.ports ?? []).map((port) => slicePort(port, pods)).filter((port) => port !== undefined),
  };
}

/** What v1beta1 keeps of an endpoint. */
function olderEndpoint({ addresses, conditions, nodeName, targetRef }: Endpoint): OlderEndpoint {
  return {
    addresses,
    conditions: { ready: conditions?.ready === true },
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(nodeName === undefined ? {} : { topology: { [TOPOLOGY_NODE]: nodeName } }),
  };
}

/** A slice as the server has it in its version, so that what it keeps is what was written. */
export function inVersion(slice: EndpointSlice, type: ResourceType): EndpointSlice {
  if (type === RESOURCES.endpointSlices) return slice;
  return { ...slice, apiVersion: apiVersionOf(type), endpoints: slice.endpoints.map(olderEndpoint) };
}
