import type { IpsecChild, IpsecConnection } from './ipsec-connections.ts';
import { carries, type LoadedConnection, type ObservedChild, type ObservedIke } from './ipsec-observation.ts';

/** What charon has to be told. */
export interface IpsecPlan {
  readonly unload: readonly string[];
  readonly load: readonly IpsecConnection[];
  readonly terminateIke: readonly string[];
  readonly terminateChild: readonly string[];
  readonly initiate: readonly ChildToInitiate[];
}

/** A pair of CIDRs without its SAs. */
export interface ChildToInitiate {
  readonly connection: IpsecConnection;
  readonly child: IpsecChild;
  /** Whose turn it is first: the side that began the IKE SA goes on with its children; without one it is agreed. */
  readonly turn: 'own' | 'peer' | 'as agreed';
}

/** An identity as charon prints it: `@name` without the sign. */
function printedId(id: string): string {
  return id.replace(/^@/, '');
}

function sameEnds(wanted: IpsecConnection, loaded: LoadedConnection): boolean {
  return (
    loaded.localAddresses.join() === wanted.localAddress &&
    loaded.remoteAddresses.join() === (wanted.remoteAddress ?? '%any') &&
    loaded.localId === printedId(wanted.localId) &&
    loaded.remoteId === printedId(wanted.remoteId)
  );
}

function sameSelectors(wanted: IpsecChild, seen: { readonly localTs: string; readonly remoteTs: string }): boolean {
  return seen.localTs === wanted.localTs && seen.remoteTs === wanted.remoteTs;
}

function sameLoaded(wanted: IpsecConnection, loaded: LoadedConnection, dpdDelaySeconds: number): boolean {
  const children = new Map(loaded.children.map((child) => [child.name, child]));
  return (
    sameEnds(wanted, loaded) &&
    Number.parseInt(loaded.dpdDelay, 10) === dpdDelaySeconds &&
    children.size === wanted.children.length &&
    wanted.children.every((child) => sameSelectors(child, children.get(child.name) ?? { localTs: '', remoteTs: '' }))
  );
}

/** A side that has not shown its identity yet does not contradict. */
function sameId(wanted: string, seen: string): boolean {
  return seen === '' || seen === '%any' || seen === printedId(wanted);
}

/** Whether an IKE SA joins the wanted ends. Behind NAT the peer's address and port are what NAT makes of them. */
function fits(wanted: IpsecConnection, ike: ObservedIke): boolean {
  const ends =
    ike.localHost === wanted.localAddress &&
    sameId(wanted.localId, ike.localId) &&
    sameId(wanted.remoteId, ike.remoteId);
  if (!ends || wanted.usingNat || wanted.remoteAddress === undefined) return ends;
  return ike.remoteHost === wanted.remoteAddress && ike.remotePort === String(wanted.remotePort);
}

function isGoing(state: string): boolean {
  return state === 'DELETING' || state === 'DESTROYING' || state === 'DELETED';
}

interface OneConnection {
  readonly load: boolean;
  readonly terminateIke: readonly string[];
  readonly terminateChild: readonly string[];
  readonly initiate: readonly IpsecChild[];
  readonly turn: ChildToInitiate['turn'];
}

function planConnection(
  wanted: IpsecConnection,
  loaded: LoadedConnection | undefined,
  sas: readonly ObservedIke[],
  dpdDelaySeconds: number,
): OneConnection {
  const stale = loaded !== undefined && !sameEnds(wanted, loaded);
  const own = sas.filter((ike) => !isGoing(ike.state));
  const wrong = own.filter((ike) => stale || !fits(wanted, ike));
  const right = own.filter((ike) => !wrong.includes(ike));
  const children = new Map(wanted.children.map((child) => [child.name, child]));
  const isWrong = (seen: ObservedChild): boolean => {
    const child = children.get(seen.name);
    return child === undefined || !sameSelectors(child, seen);
  };
  const seen = right.flatMap((ike) => ike.children).filter((child) => !isGoing(child.state));
  const wrongChildren = seen.filter((child) => carries(child) && isWrong(child));
  const present = new Set(seen.filter((child) => !wrongChildren.includes(child)).map((child) => child.name));
  const busy = right.some((ike) => ike.state !== 'ESTABLISHED' && ike.state !== 'REKEYING' && ike.state !== 'REKEYED');
  return {
    // The peer's port is not shown by list-conns: while nothing proves the loaded one right, it is loaded again.
    load: loaded === undefined || !sameLoaded(wanted, loaded, dpdDelaySeconds) || right.length === 0,
    terminateIke: wrong.map((ike) => ike.id),
    terminateChild: wrongChildren.map((child) => child.id),
    turn: turnOf(right),
    initiate: busy ? [] : wanted.children.filter((child) => !present.has(child.name)),
  };
}

function turnOf(sas: readonly ObservedIke[]): ChildToInitiate['turn'] {
  if (sas.length === 0) return 'as agreed';
  return sas.some((ike) => ike.initiator) ? 'own' : 'peer';
}

/**
 * From what charon has to what it should have. Connections that are as wanted are not mentioned, so that a cable is
 * not disturbed by others. `initiate` also lists children the peer is to initiate; the caller decides when.
 */
export function planIpsec(
  wanted: readonly IpsecConnection[],
  loaded: readonly LoadedConnection[],
  sas: readonly ObservedIke[],
  dpdDelaySeconds: number,
): IpsecPlan {
  const names = new Set(wanted.map((connection) => connection.name));
  const loadedByName = new Map(loaded.map((connection) => [connection.name, connection]));
  const plans = wanted.map((connection) => ({
    connection,
    ...planConnection(
      connection,
      loadedByName.get(connection.name),
      sas.filter((ike) => ike.connection === connection.name),
      dpdDelaySeconds,
    ),
  }));
  const orphans = sas.filter((ike) => !names.has(ike.connection) && !isGoing(ike.state)).map((ike) => ike.id);
  return {
    unload: loaded.map((connection) => connection.name).filter((name) => !names.has(name)),
    load: plans.filter((plan) => plan.load).map((plan) => plan.connection),
    terminateIke: [...orphans, ...plans.flatMap((plan) => plan.terminateIke)],
    terminateChild: plans.flatMap((plan) => plan.terminateChild),
    initiate: plans.flatMap(({ connection, initiate, turn }) => initiate.map((child) => ({ connection, child, turn }))),
  };
}
