import { PROBER_PORT, type ProbeTarget } from '../../host/prober/protocol.ts';

/** Where packets start. */
export interface Source {
  readonly cluster: string;
  /** A node sends from its own network, as a pod with hostNetwork does. */
  readonly kind: 'pod' | 'node';
  readonly node: string;
  readonly gateway: boolean;
  /** Of the pod; '' for a node, of which any address in the pod network will do. */
  readonly address: string;
}

/** Where packets go. */
export interface Destination {
  readonly cluster: string;
  readonly kind: 'pod' | 'service';
  /** Of the pod, also of the one behind the Service. */
  readonly node: string;
  readonly gateway: boolean;
  readonly address: string;
}

/** What is tried between two places. */
export const ASPECTS = ['tcp', 'udp', 'icmp', 'packet-sizes'] as const;
export type Aspect = (typeof ASPECTS)[number];

/** One test: from one place to another in another cluster. */
export interface Case {
  readonly id: string;
  readonly aspect: Aspect;
  readonly from: Source;
  readonly to: Destination;
  /** All of them have to be good. */
  readonly targets: readonly ProbeTarget[];
}

/** What can be reached in one cluster, and from where. */
export interface CasePlaces {
  readonly cluster: string;
  readonly sources: readonly Source[];
  readonly destinations: readonly Destination[];
}

/** Datagrams and pings of one size: the first ones may be lost while the path is being learnt. */
const BURST = 5;
const SMALL_BYTES = 128;
const LARGE_TCP_BYTES = 1024 * 1024;
/** Below every path, above most tunnels, and far above: fragments of two and of several packets. */
const UDP_SIZES = [1280, 3000, 8000] as const;
const ICMP_SIZES = [1280, 3000] as const;

/** Words of --only that choose among the tests between clusters, and what each chooses. */
export const CHOICES: Readonly<Record<string, (one: Case) => boolean>> = {
  connectivity: () => true,
  'basic-connectivity': ({ aspect, from, to }) =>
    aspect === 'tcp' && from.kind === 'pod' && to.kind === 'pod' && from.gateway === to.gateway,
  tcp: ({ aspect }) => aspect === 'tcp',
  udp: ({ aspect }) => aspect === 'udp',
  icmp: ({ aspect }) => aspect === 'icmp',
  'packet-sizes': ({ aspect }) => aspect === 'packet-sizes',
  service: ({ to }) => to.kind === 'service',
  'host-network': ({ from }) => from.kind === 'node',
};

function sizeTargets(id: string, address: string): readonly ProbeTarget[] {
  const bursts = UDP_SIZES.map((bytes) => ({ bytes, count: BURST }));
  return [
    ...ICMP_SIZES.map((bytes) => ({ id: `${id}/icmp-${bytes}`, address, icmp: { count: BURST, bytes } })),
    { id: `${id}/udp`, address, udp: { port: PROBER_PORT, bursts, ask: true } },
    {
      id: `${id}/tcp`,
      address,
      tcp: { port: PROBER_PORT, upBytes: LARGE_TCP_BYTES, downBytes: LARGE_TCP_BYTES },
    },
  ];
}

function targetsOf(aspect: Aspect, id: string, address: string, packetBytes: number): readonly ProbeTarget[] {
  const port = PROBER_PORT;
  const kinds: Readonly<Record<Aspect, () => readonly ProbeTarget[]>> = {
    tcp: () => [{ id, address, tcp: { port, upBytes: packetBytes, downBytes: packetBytes } }],
    udp: () => [{ id, address, udp: { port, bursts: [{ bytes: SMALL_BYTES, count: BURST }], ask: true } }],
    icmp: () => [{ id, address, icmp: { count: BURST } }],
    'packet-sizes': () => sizeTargets(id, address),
  };
  return kinds[aspect]();
}

/** A Service answers no ping, and sizes are a matter of the path, which is the same for pods and their Services. */
function aspectsOf(from: Source, to: Destination): readonly Aspect[] {
  if (to.kind === 'service') return ['tcp', 'udp'];
  return from.kind === 'pod' ? ASPECTS : ['tcp', 'udp', 'icmp'];
}

/**
 * Everything that is tried between clusters, each direction: from pods and nodes, on gateway and other nodes, to pods and
 * Services. Each case has an ID of its own; `packetBytes` is the payload over TCP.
 */
export function planCases(places: readonly CasePlaces[], packetBytes: number): readonly Case[] {
  const pairs = places.flatMap((from) => places.filter((to) => to !== from).map((to) => ({ from, to })));
  const ways = pairs.flatMap(({ from, to }) =>
    from.sources.flatMap((source) => to.destinations.map((destination) => ({ from: source, to: destination }))),
  );
  return ways.flatMap(({ from, to }, way) =>
    aspectsOf(from, to).map((aspect) => {
      const id = `${way + 1}-${aspect}`;
      return { id, aspect, from, to, targets: targetsOf(aspect, id, to.address, packetBytes) };
    }),
  );
}

const role = (gateway: boolean): string => (gateway ? 'gateway' : 'non-gateway');

/** A place for people: `pod on east-2 (non-gateway)`, `node east-1 (gateway)`, `Service of a pod on west-1 (gateway)`. */
export function describePlace({ kind, node, gateway }: Source | Destination): string {
  const what = kind === 'node' ? 'node' : kind === 'pod' ? 'pod on' : 'Service of a pod on';
  return `${what} ${node} (${role(gateway)})`;
}

/** A case in one line. */
export function describeCase({ aspect, from, to }: Case): string {
  return `${aspect}: ${from.cluster}, ${describePlace(from)} -> ${to.cluster}, ${describePlace(to)}`;
}
