import { createHash } from 'node:crypto';
import type { EndpointSlice, Service, ServicePort } from '../../kube/objects.ts';
import { isIpAddress, ipFamily } from '../../net/cidr.ts';

/** nft table of the service proxy, family ip. */
const PROXY_TABLE = 'sandbox-proxy';

/** A port of a Service and where its packets go. */
export interface ServiceTarget {
  /** `namespace/name:port`. */
  readonly name: string;
  readonly address: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
  /** `address . port` of every endpoint, sorted; none means that packets are refused. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
  /** Packets of one client go to one endpoint. */
  readonly sticky: boolean;
}

const SERVICE_LABEL = 'kubernetes.io/service-name';
/** Bit of the packet mark that asks for masquerading, as kube-proxy has it. */
const MARK = '0x4000';

function isIpv4(text: string): boolean {
  return isIpAddress(text) && ipFamily(text) === 4;
}

function clusterAddress(service: Service): string | undefined {
  const { type, clusterIP = '' } = service.spec;
  return type === 'ExternalName' || !isIpv4(clusterIP) ? undefined : clusterIP;
}

function slicesOf(service: Service, slices: readonly EndpointSlice[]): readonly EndpointSlice[] {
  return slices.filter(
    ({ metadata, addressType }) =>
      addressType === 'IPv4' &&
      metadata.namespace === service.metadata.namespace &&
      metadata.labels?.[SERVICE_LABEL] === service.metadata.name,
  );
}

type Endpoint = EndpointSlice['endpoints'][number];

function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false;
}

/** Ready endpoints; when there are none, those that still serve while they end (KEP-1669). The list may be null on the wire. */
function usable(listed: readonly Endpoint[] | null | undefined): readonly Endpoint[] {
  const endpoints = listed ?? [];
  const ready = endpoints.filter(isReady);
  if (ready.length > 0) return ready;
  return endpoints.filter(({ conditions }) => conditions?.serving === true && conditions.terminating === true);
}

function endpointsOf(slices: readonly EndpointSlice[], port: ServicePort): ServiceTarget['endpoints'] {
  const found = slices.flatMap((slice) =>
    (slice.ports ?? [])
      .filter((one) => (one.name ?? '') === (port.name ?? '') && (one.protocol ?? 'TCP') === (port.protocol ?? 'TCP'))
      .flatMap((one) => usable(slice.endpoints).map((endpoint) => ({ endpoint, port: one.port ?? port.port }))),
  );
  const unique = new Map(
    found.flatMap(({ endpoint, port }) =>
      endpoint.addresses.filter(isIpv4).map((address) => [`${address}:${port}`, { address, port }] as const),
    ),
  );
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}

/** Every port of every Service that has a ClusterIP. Pure. */
export function serviceTargets(
  services: readonly Service[],
  slices: readonly EndpointSlice[],
): readonly ServiceTarget[] {
  return services
    .flatMap((service) => {
      const address = clusterAddress(service);
      if (address === undefined) return [];
      const own = slicesOf(service, slices);
      const { namespace = '', name = '' } = service.metadata;
      return (service.spec.ports ?? []).map((port) => ({
        name: `${namespace}/${name}:${port.name ?? port.port}`,
        address,
        protocol: (port.protocol ?? 'TCP').toLowerCase() as ServiceTarget['protocol'],
        port: port.port,
        endpoints: endpointsOf(own, port),
        sticky: service.spec.sessionAffinity === 'ClientIP',
      }));
    })
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function keyOf(target: ServiceTarget): string {
  return `${target.address} . ${target.protocol} . ${target.port}`;
}

function chainName(prefix: string, text: string): string {
  return `${prefix}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}

function chain(name: string, rules: readonly string[]): string {
  return `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join('')}  }\n`;
}

function endpointChain(target: ServiceTarget, endpoint: ServiceTarget['endpoints'][number]): string {
  return chainName('ep', `${keyOf(target)} ${endpoint.address} ${endpoint.port}`);
}

function serviceChains(target: ServiceTarget, clusterPodCidr: string): string {
  const { endpoints, protocol, sticky } = target;
  const choice = endpoints.map((endpoint, index) => `${index} : goto ${endpointChain(target, endpoint)}`).join(', ');
  const pick = sticky ? `jhash ip saddr mod ${endpoints.length}` : `numgen random mod ${endpoints.length}`;
  const service = chain(chainName('svc', keyOf(target)), [
    `ip saddr != ${clusterPodCidr} meta mark set meta mark | ${MARK} comment "${target.name.slice(0, 100)}"`,
    `${pick} vmap { ${choice} }`,
  ]);
  const own = endpoints.map((endpoint) =>
    chain(endpointChain(target, endpoint), [
      `ip saddr ${endpoint.address} meta mark set meta mark | ${MARK}`,
      `meta l4proto ${protocol} dnat to ${endpoint.address}:${endpoint.port}`,
    ]),
  );
  return `${service}${own.join('')}`;
}

function map(name: string, type: string, elements: readonly string[]): string {
  const body = elements.length === 0 ? '' : `    elements = { ${elements.join(',\n      ')} }\n`;
  return `  map ${name} {\n    type ipv4_addr . inet_proto . inet_service : ${type}\n${body}  }\n`;
}

const LOOKUP = 'ip daddr . meta l4proto . th dport vmap';

/**
 * The script of the whole table, swapped in one transaction: ClusterIPs as kube-proxy serves them with a cluster CIDR.
 * Packets to a ClusterIP from outside the pod CIDR, and those that come back to the pod that sent them, are masqueraded;
 * Services without endpoints refuse.
 */
export function proxyScript(targets: readonly ServiceTarget[], clusterPodCidr: string): string {
  const served = targets.filter((target) => target.endpoints.length > 0);
  const refused = targets.filter((target) => target.endpoints.length === 0);
  const hook = (type: string, name: string, priority: string): string =>
    `type ${type} hook ${name} priority ${priority}; policy accept;`;
  return `table ip ${PROXY_TABLE}
delete table ip ${PROXY_TABLE}
table ip ${PROXY_TABLE} {
${map(
  'services',
  'verdict',
  served.map((target) => `${keyOf(target)} : goto ${chainName('svc', keyOf(target))}`),
)}${map(
    'without-endpoints',
    'verdict',
    refused.map((target) => `${keyOf(target)} : goto refuse`),
  )}${chain('refuse', ['meta l4proto tcp reject with tcp reset', 'reject'])}${served
    .map((target) => serviceChains(target, clusterPodCidr))
    .join('')}${chain('prerouting', [hook('nat', 'prerouting', 'dstnat'), `${LOOKUP} @services`])}${chain('output', [
    hook('nat', 'output', '-100'),
    `${LOOKUP} @services`,
  ])}${chain('postrouting', [
    hook('nat', 'postrouting', 'srcnat'),
    `meta mark & ${MARK} != ${MARK} return`,
    `meta mark set meta mark ^ ${MARK}`,
    'masquerade fully-random',
  ])}${chain('filter-input', [hook('filter', 'input', '-110'), `${LOOKUP} @without-endpoints`])}${chain(
    'filter-forward',
    [hook('filter', 'forward', '-110'), `${LOOKUP} @without-endpoints`],
  )}${chain('filter-output', [hook('filter', 'output', '-110'), `${LOOKUP} @without-endpoints`])}}
`;
}

/** Endpoints of UDP Services in `before` that `after` no longer has: their connection tracking entries would keep sending there. */
export function lostUdpEndpoints(
  before: readonly ServiceTarget[],
  after: readonly ServiceTarget[],
): readonly { readonly service: string; readonly endpoint: string }[] {
  const pairs = (targets: readonly ServiceTarget[]): readonly string[] =>
    targets
      .filter((target) => target.protocol === 'udp')
      .flatMap((target) => target.endpoints.map((endpoint) => `${target.address} ${endpoint.address}`));
  const kept = new Set(pairs(after));
  return [...new Set(pairs(before))]
    .filter((pair) => !kept.has(pair))
    .map((pair) => {
      const [service = '', endpoint = ''] = pair.split(' ');
      return { service, endpoint };
    });
}
