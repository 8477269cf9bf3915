import type { CableState, EngineDaemonState, RouteAgentDaemonState } from '../../../src/api/daemonstate.ts';
import type { Endpoint, EndpointSpec, Gateway } from '../../../src/api/types.ts';
import type { ClusterEvidence, End } from '../../../src/commands/explain/model.ts';
import type { EndpointSlice, Node, Pod, Service } from '../../../src/kube/objects.ts';
import type { NodeLink, NodeNetwork } from '../../../src/net/nodenetwork.ts';
import type { NetworkState, RouteState, RuleState } from '../../../src/net/state.ts';
import { engineState, routeAgentState } from '../daemonstates.ts';

/** Cluster i: pods 10.(129+i).0.0/16, Services 100.(65+i).0.0/16, nodes 172.(30+i).0.(10+k); node 1 is the gateway. */
export interface Numbers {
  readonly id: string;
  readonly i: number;
}

export const EAST: Numbers = { id: 'east', i: 1 };
export const WEST: Numbers = { id: 'west', i: 2 };

export const podCidr = ({ i }: Numbers): string => `10.${129 + i}.0.0/16`;
export const serviceCidr = ({ i }: Numbers): string => `100.${65 + i}.0.0/16`;
export const nodeIp = ({ i }: Numbers, k: number): string => `172.${30 + i}.0.${10 + k}`;
export const vtep = ({ i }: Numbers, k: number): string => `240.${30 + i}.0.${10 + k}`;
export const podIp = ({ i }: Numbers, k: number, n = 2): string => `10.${129 + i}.${k}.${n}`;
export const serviceIp = ({ i }: Numbers): string => `100.${65 + i}.0.10`;

function link(name: string, kind: string, address?: string): NodeLink {
  const addresses = address === undefined ? [] : [address];
  return { name, kind, mtuBytes: 1500, up: true, addresses, rxBytes: 0, txBytes: 0, rxDropped: 0, txDropped: 0 };
}

const MAIN: readonly RuleState[] = [
  { priority: 0, table: 255 },
  { priority: 32_766, table: 254 },
];
const GATEWAY_RULES: readonly RuleState[] = [
  { priority: 99, table: 101 },
  { priority: 100, table: 100 },
  { priority: 150, table: 150 },
];

function routes(own: Numbers, other: Numbers, k: number): readonly RouteState[] {
  const pods = [1, 2, 3].map((n): RouteState => {
    const destination = `10.${129 + own.i}.${n}.0/24`;
    return n === k
      ? { destination, table: 254, link: 'cni0', source: podIp(own, n, 1) }
      : { destination, table: 254, link: 'eth0', via: nodeIp(own, n) };
  });
  const remote = [podCidr(other), serviceCidr(other)];
  const base: readonly RouteState[] = [
    { destination: '0.0.0.0/0', table: 254, link: 'eth0', via: `172.${30 + own.i}.0.1` },
    { destination: `172.${30 + own.i}.0.0/24`, table: 254, link: 'eth0' },
    { destination: '240.0.0.0/8', table: 254, link: 'vx-submariner' },
    ...pods,
  ];
  if (k !== 1) {
    return [
      ...base,
      ...remote.map((destination) => ({ destination, table: 254, via: vtep(own, 1), link: 'vx-submariner' })),
    ];
  }
  return [
    ...base,
    ...remote.map((destination) => ({ destination, table: 100, link: 'ipsec0' })),
    ...remote.map((destination): RouteState => ({ destination, table: 150, type: 'unreachable' })),
  ];
}

export function nodeNetwork(own: Numbers, other: Numbers, k: number): NodeNetwork {
  return {
    links: [
      link('eth0', 'veth', `${nodeIp(own, k)}/24`),
      link('cni0', 'bridge', `${podIp(own, k, 1)}/24`),
      link('vx-submariner', 'vxlan', `${vtep(own, k)}/8`),
      ...(k === 1 ? [link('ipsec0', 'tun')] : []),
    ],
    rules: k === 1 ? [...MAIN, ...GATEWAY_RULES] : MAIN,
    routes: routes(own, other, k),
    sysctls: [
      { key: 'net.ipv4.ip_forward', value: '1' },
      { key: 'net.ipv4.conf.all.rp_filter', value: '0' },
      { key: 'net.ipv4.conf.vx-submariner.rp_filter', value: '2' },
    ],
  };
}

export function ownNetwork(own: Numbers, other: Numbers, k: number): NetworkState {
  const peers = k === 1 ? [2, 3] : [1];
  return {
    links: [
      {
        name: 'vx-submariner',
        kind: 'vxlan',
        mtuBytes: 1450,
        up: true,
        vxlan: { vni: 100, udpPort: 4800, local: nodeIp(own, k), learning: false },
      },
    ],
    addresses: [],
    neighbours: peers.map((n) => ({ link: 'vx-submariner', mac: '00:00:00:00:00:00', remote: nodeIp(own, n) })),
    routes: [],
    rules: [],
    sysctls: [],
    ruleset: {
      table: 'submariner-routeagent',
      sets: [
        { name: 'local', type: 'ipv4_addr', interval: true, elements: [podCidr(own), serviceCidr(own)] },
        { name: 'remote', type: 'ipv4_addr', interval: true, elements: [podCidr(other), serviceCidr(other)] },
        { name: 'nodes', type: 'ipv4_addr', interval: false, elements: [1, 2, 3].map((n) => nodeIp(own, n)) },
      ],
      chains: [
        {
          name: 'source',
          rules: [
            'ip saddr @local ip daddr @remote snat ip to ip saddr comment "keeps pod addresses [#84adfdda]"',
            'ip saddr @remote ip daddr @local snat ip to ip saddr comment "keeps remote pod addresses [#ec519c6c]"',
          ],
        },
      ],
    },
  };
}

export function endpointSpec(own: Numbers): EndpointSpec {
  return {
    cluster_id: own.id,
    cable_name: `submariner-cable-${own.id}-${nodeIp(own, 1).replaceAll('.', '-')}`,
    healthCheckIP: podIp(own, 1, 1),
    hostname: `${own.id}-1`,
    subnets: [serviceCidr(own), podCidr(own)],
    private_ip: nodeIp(own, 1),
    public_ip: '',
    nat_enabled: false,
    backend: 'libreswan',
  };
}

function endpoint(own: Numbers): Endpoint {
  const metadata = { name: own.id, creationTimestamp: '2030-01-01T00:00:00Z' };
  return { apiVersion: 'submariner.io/v1', kind: 'Endpoint', metadata, spec: endpointSpec(own) };
}

export function engine(own: Numbers, other: Numbers): EngineDaemonState {
  const base = engineState(`${own.id}-1`);
  const spec = endpointSpec(other);
  const cable: CableState = {
    name: spec.cable_name,
    remoteClusterId: other.id,
    localPrivateIp: nodeIp(own, 1),
    remotePrivateIp: nodeIp(other, 1),
    usingIp: nodeIp(other, 1),
    usingNat: false,
    localUdpPort: 4500,
    remoteUdpPort: 4500,
    localSubnets: [serviceCidr(own), podCidr(own)],
    remoteSubnets: spec.subnets,
    slot: 0,
    carries: true,
  };
  const pairs = cable.localSubnets.flatMap((localTs, a) =>
    cable.remoteSubnets.map((remoteTs, b) => ({ localTs, remoteTs, name: `${cable.name}-${a}-${b}` })),
  );
  const children = pairs.map((pair, index) => ({
    ...pair,
    id: String(index),
    state: 'INSTALLED',
    cipher: 'AES_GCM_16-256',
    encap: true,
    rxBytes: 10,
    txBytes: 20,
  }));
  const probe = { address: podIp(other, 1, 1), status: 'connected' as const, message: '', latency: null };
  return {
    ...base,
    inputs: {
      ...base.inputs,
      implementation: 'IPsec',
      remotes: [{ spec, refusal: null, decision: { usingIp: cable.usingIp, usingNat: false }, probe }],
    },
    desired: { ...base.desired, cables: [cable] },
    observed: {
      ...base.observed,
      cables: [{ name: cable.name, status: 'connected', message: '4 of 4', rxBytes: 10, txBytes: 20 }],
      ike: [
        {
          id: '1',
          connection: cable.name,
          state: 'ESTABLISHED',
          localHost: cable.localPrivateIp,
          remoteHost: cable.usingIp,
          remotePort: '4500',
          localId: '',
          remoteId: '',
          children,
        },
      ],
    },
  };
}

export function routeAgent(own: Numbers, other: Numbers, k: number): RouteAgentDaemonState {
  const base = routeAgentState(`${own.id}-${k}`);
  return {
    ...base,
    inputs: {
      ...base.inputs,
      role: k === 1 ? 'gateway' : 'worker',
      host: {
        underlay: { link: 'eth0', mtuBytes: 1500, address: nodeIp(own, k) },
        cni: { link: 'cni0', address: podIp(own, k, 1) },
        strictLinks: [],
      },
    },
    observed: { network: ownNetwork(own, other, k), nft: '', node: nodeNetwork(own, other, k) },
  };
}

function node(own: Numbers, k: number): Node {
  const addresses = [{ type: 'InternalIP', address: nodeIp(own, k) }];
  return {
    metadata: { name: `${own.id}-${k}` },
    spec: { podCIDRs: [`10.${129 + own.i}.${k}.0/24`] },
    status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

export function pod(own: Numbers, k: number): Pod {
  return {
    metadata: { name: `p${k}`, namespace: 'default' },
    spec: { nodeName: `${own.id}-${k}`, containers: [] },
    status: { phase: 'Running', podIP: podIp(own, k), conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

export const SERVICE: Omit<Service, 'spec'> & { spec: { clusterIP: string; ports: { port: number }[] } } = {
  metadata: { name: 'echo', namespace: 'default' },
  spec: { clusterIP: serviceIp(WEST), ports: [{ port: 8080 }] },
};

export function slice(own: Numbers, ks: readonly number[], ready = true): EndpointSlice {
  return {
    metadata: { name: 'echo-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'echo' } },
    addressType: 'IPv4',
    endpoints: ks.map((k) => ({
      addresses: [podIp(own, k)],
      conditions: { ready },
      nodeName: `${own.id}-${k}`,
      targetRef: { kind: 'Pod', name: `p${k}`, namespace: 'default' },
    })),
  };
}

/** A cluster in which all is well, as read live: every echo was answered. */
export function evidence(own: Numbers, other: Numbers): ClusterEvidence {
  const gateway: Gateway = {
    apiVersion: 'submariner.io/v1',
    kind: 'Gateway',
    metadata: { name: `${own.id}-1` },
    status: {
      version: '1',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: endpointSpec(own),
      connections: [],
    },
  };
  const nodes = [1, 2, 3];
  const name = (k: number): string => `${own.id}-${k}`;
  const answered = { sent: 3, received: 3, rttMs: 0.5, failure: '' };
  return {
    clusterId: own.id,
    context: own.id,
    podCidrs: [podCidr(own)],
    serviceCidrs: [serviceCidr(own)],
    nodes: nodes.map((k) => node(own, k)),
    pods: nodes.map((k) => pod(own, k)),
    services: own.id === 'west' ? [SERVICE] : [],
    slices: own.id === 'west' ? [slice(own, [1, 2, 3])] : [],
    endpoints: [endpoint(own), endpoint(other)],
    gateways: [gateway],
    engines: new Map([[name(1), { state: engine(own, other) }]]),
    routeAgents: new Map(nodes.map((k) => [name(k), { state: routeAgent(own, other, k) }])),
    networks: new Map(
      nodes.map((k) => [name(k), { node: nodeNetwork(own, other, k), own: ownNetwork(own, other, k) }]),
    ),
    echoes: [
      ...[2, 3].map((k) => ({ node: name(k), address: vtep(own, 1), ...answered })),
      { node: name(1), address: podIp(other, 1, 1), ...answered },
      ...nodes.map((k) => ({ node: name(1), address: podIp(own, k), ...answered })),
    ],
  };
}

/** A pod as an end of a way. */
export function podEnd(own: Numbers, k: number): End {
  const at = `${own.id}-${k}`;
  return { cluster: own.id, kind: 'pod', name: `pod default/p${k}`, address: podIp(own, k), node: at };
}

export const SERVICE_END: End = {
  cluster: 'west',
  kind: 'service',
  name: 'service default/echo',
  address: serviceIp(WEST),
  node: undefined,
};
