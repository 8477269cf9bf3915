import { listAt, sectionAt, sectionsOf, textAt, type ViciSection } from '../../host/vici/codec.ts';
import { cableOfChild } from './ipsec-connections.ts';
import type { ObservedCable } from './driver.ts';

/** A connection charon has been told of, as far as `list-conns` shows it. */
export interface LoadedConnection {
  readonly name: string;
  readonly localAddresses: readonly string[];
  readonly remoteAddresses: readonly string[];
  readonly dpdDelay: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly children: readonly { readonly name: string; readonly localTs: string; readonly remoteTs: string }[];
}

export interface ObservedChild {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly localTs: string;
  readonly remoteTs: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cipher: string;
  /** Whether its packets go in UDP. */
  readonly encap: boolean;
  /** Of both directions, in hexadecimal. */
  readonly spis: readonly string[];
}

/** An IKE SA, as `list-sas` shows it. */
export interface ObservedIke {
  readonly id: string;
  readonly connection: string;
  readonly state: string;
  /** Whether this side began it. */
  readonly initiator: boolean;
  readonly localHost: string;
  readonly remoteHost: string;
  readonly remotePort: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly children: readonly ObservedChild[];
}

/** Reads the events of `list-conns`. */
export function parseConnections(events: readonly ViciSection[]): readonly LoadedConnection[] {
  return events.flatMap(sectionsOf).map(([name, conn]) => ({
    name,
    localAddresses: listAt(conn, 'local_addrs'),
    remoteAddresses: listAt(conn, 'remote_addrs'),
    dpdDelay: textAt(conn, 'dpd_delay'),
    localId: textAt(sectionAt(conn, 'local-1'), 'id'),
    remoteId: textAt(sectionAt(conn, 'remote-1'), 'id'),
    children: sectionsOf(sectionAt(conn, 'children')).map(([child, section]) => ({
      name: child,
      localTs: listAt(section, 'local-ts').join(','),
      remoteTs: listAt(section, 'remote-ts').join(','),
    })),
  }));
}

function parseChild(child: ViciSection): ObservedChild {
  return {
    id: textAt(child, 'uniqueid'),
    name: textAt(child, 'name'),
    state: textAt(child, 'state'),
    localTs: listAt(child, 'local-ts').join(','),
    remoteTs: listAt(child, 'remote-ts').join(','),
    bytesIn: Number(textAt(child, 'bytes-in')) || 0,
    bytesOut: Number(textAt(child, 'bytes-out')) || 0,
    cipher: [textAt(child, 'encr-alg'), textAt(child, 'encr-keysize')].join('-'),
    encap: textAt(child, 'encap') === 'yes',
    spis: [textAt(child, 'spi-in'), textAt(child, 'spi-out')],
  };
}

/** Reads the events of `list-sas`. */
export function parseSas(events: readonly ViciSection[]): readonly ObservedIke[] {
  return events.flatMap(sectionsOf).map(([connection, ike]) => ({
    id: textAt(ike, 'uniqueid'),
    connection,
    state: textAt(ike, 'state'),
    initiator: textAt(ike, 'initiator') === 'yes',
    localHost: textAt(ike, 'local-host'),
    remoteHost: textAt(ike, 'remote-host'),
    remotePort: textAt(ike, 'remote-port'),
    localId: textAt(ike, 'local-id'),
    remoteId: textAt(ike, 'remote-id'),
    children: sectionsOf(sectionAt(ike, 'child-sas')).map(([, child]) => parseChild(child)),
  }));
}

/** States in which a child carries packets; one that is being replaced still does. */
const CARRYING: ReadonlySet<string> = new Set(['INSTALLED', 'UPDATING', 'REKEYING', 'REKEYED']);

/** Whether the child carries packets now. */
export function carries(child: ObservedChild): boolean {
  return CARRYING.has(child.state);
}

function describeCable(
  name: string,
  children: readonly LoadedConnection['children'][number][],
  sas: readonly ObservedIke[],
  troubles: ReadonlyMap<string, string>,
): ObservedCable {
  const names = new Set(children.map((child) => child.name));
  const found = sas.flatMap((ike) => ike.children).filter((child) => names.has(child.name));
  const up = found.filter(carries);
  const upNames = new Set(up.map((child) => child.name));
  const missing = children.filter((child) => !upNames.has(child.name));
  const sum = (key: 'bytesIn' | 'bytesOut'): number => found.reduce((total, child) => total + child[key], 0);
  if (up.length === 0) {
    const own = sas.filter((ike) => ike.connection === name || names.has(ike.connection));
    const state = own.length === 0 ? 'no IKE SA with the peer' : `IKE SA ${own.map((ike) => ike.state).join(', ')}`;
    const trouble = [name, ...names].map((connection) => troubles.get(connection)).find((text) => text !== undefined);
    return { cableName: name, status: 'connecting', message: trouble === undefined ? state : `${state}; ${trouble}` };
  }
  const pairs = `${children.length - missing.length} of ${children.length} pairs of CIDRs`;
  const absent = missing.map((child) => `${child.localTs} - ${child.remoteTs}`).join(', ');
  return {
    cableName: name,
    status: 'connected',
    message: `${pairs}, ${up[0]?.cipher ?? ''}${absent === '' ? '' : `; without an SA: ${absent}`}`,
    rxBytes: sum('bytesIn'),
    txBytes: sum('bytesOut'),
  };
}

/**
 * The cables charon knows of: connected when at least one pair of CIDRs has its SAs. `troubles` says, by connection,
 * why there is none.
 */
export function observedCables(
  connections: readonly LoadedConnection[],
  sas: readonly ObservedIke[],
  troubles: ReadonlyMap<string, string> = new Map(),
): readonly ObservedCable[] {
  const byCable = new Map<string, LoadedConnection['children'][number][]>();
  for (const child of connections.flatMap((connection) => connection.children)) {
    const cable = cableOfChild(child.name) ?? child.name;
    byCable.set(cable, [...(byCable.get(cable) ?? []), child]);
  }
  return [...byCable].map(([name, children]) => describeCable(name, children, sas, troubles));
}
