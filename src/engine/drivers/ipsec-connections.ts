import { slotPortKey } from '../../api/gateways.ts';
import { cableName } from '../../api/names.ts';
import type { ViciSection } from '../../host/vici/codec.ts';
import { ipv4Cidrs } from './cable-routes.ts';
import type { Cable } from './driver.ts';

/** One pair of local and remote CIDR, that is one pair of SAs. */
export interface IpsecChild {
  /** `<remote cable name>-<i>-<j>`, as upstream names its connections. */
  readonly name: string;
  readonly localTs: string;
  readonly remoteTs: string;
}

/** One IKE connection as charon is to have it. */
export interface IpsecConnection {
  readonly name: string;
  readonly cableName: string;
  readonly localAddress: string;
  /** Undefined: the peer may come from anywhere, it initiates. */
  readonly remoteAddress: string | undefined;
  readonly localPort: number;
  readonly remotePort: number;
  readonly usingNat: boolean;
  readonly localId: string;
  readonly remoteId: string;
  /**
   * `at once`; `late`: when the peer has not done it after a while, so that two sides do not cross and every pair has its
   * SAs once; `never`: upstream's server.
   */
  readonly initiates: 'at once' | 'late' | 'never';
  readonly children: readonly IpsecChild[];
}

export type IpsecMode = 'bidirectional' | 'server' | 'client';

/** Who initiates, by `preferred-server` of both Endpoints (upstream's rules). */
export function ipsecMode(cable: Cable): IpsecMode {
  const remote = cable.remoteConfig['preferred-server'];
  if (remote === undefined) return 'bidirectional';
  const localServes = cable.localConfig['preferred-server'] === 'true';
  const remoteServes = remote === 'true';
  if (localServes && remoteServes) return localName(cable) > cable.name ? 'server' : 'client';
  if (localServes) return 'server';
  return remoteServes ? 'client' : 'bidirectional';
}

function localName(cable: Cable): string {
  return cableName(cable.localClusterId, cable.localPrivateIp);
}

/** Whether the remote gateway leaves the beginning to one side, as this one does: upstream's always begins itself. */
function isOurs({ remoteConfig }: Cable): boolean {
  return remoteConfig[slotPortKey(1)] !== undefined;
}

interface Pair extends IpsecChild {
  readonly suffix: string;
  readonly reversed: string;
}

/** Indexes count in the lists of the Endpoints, so that they are the same on both sides. */
function pairsOf(cable: Cable): readonly Pair[] {
  const own = `${cable.localPrivateIp}/`;
  return cable.localSubnets.flatMap((local, i) =>
    cable.remoteSubnets.flatMap((remote, j): readonly Pair[] => {
      const [localTs, remoteTs] = [ipv4Cidrs([local])[0], ipv4Cidrs([remote])[0]];
      if (localTs === undefined || remoteTs === undefined || local.startsWith(own)) return [];
      return [{ name: `${cable.name}-${i}-${j}`, localTs, remoteTs, suffix: `${i}-${j}`, reversed: `${j}-${i}` }];
    }),
  );
}

function childOf({ name, localTs, remoteTs }: Pair): IpsecChild {
  return { name, localTs, remoteTs };
}

/**
 * The IKE connections of a cable. Bidirectional: one, identities are the private addresses, its children one a pair of
 * CIDRs (a libreswan peer has one connection a pair, which share an IKE SA). Server and client: one a pair, as the
 * identities `@<private address>-<i>-<j>` differ by pair.
 */
export function ipsecConnections(cable: Cable): readonly IpsecConnection[] {
  const pairs = pairsOf(cable);
  const mode = ipsecMode(cable);
  const common = {
    cableName: cable.name,
    localAddress: cable.localPrivateIp,
    localPort: cable.localUdpPort,
    remotePort: cable.remoteUdpPort,
    usingNat: cable.usingNat,
  };
  if (mode === 'bidirectional') {
    if (pairs.length === 0) return [];
    return [
      {
        ...common,
        name: cable.name,
        remoteAddress: cable.usingIp,
        localId: cable.localPrivateIp,
        remoteId: cable.remotePrivateIp,
        initiates: isOurs(cable) && localName(cable) < cable.name ? 'at once' : 'late',
        children: pairs.map(childOf),
      },
    ];
  }
  return pairs.map((pair) => ({
    ...common,
    name: pair.name,
    remoteAddress: mode === 'server' ? undefined : cable.usingIp,
    localId: `@${cable.localPrivateIp}-${pair.suffix}`,
    remoteId: `@${cable.remotePrivateIp}-${pair.reversed}`,
    initiates: mode === 'server' ? 'never' : 'at once',
    children: [childOf(pair)],
  }));
}

/** The cable a child belongs to, by its name; undefined for a name that is not of a child. */
export function cableOfChild(childName: string): string | undefined {
  return /^(.+)-\d+-\d+$/.exec(childName)?.[1];
}

/**
 * Libreswan's IKEv2 defaults accept each of these; its first choice is AES-GCM with 256 bits. One Diffie-Hellman group
 * only: libreswan wants that of the IKE SA for every pair but the first (PFS), and version 4 answers a wrong guess with
 * INVALID_SYNTAX instead of the right group.
 */
const IKE_PROPOSALS = ['aes256gcm16-aes128gcm16-prfsha512-prfsha256-ecp256'];
/** With and without Diffie-Hellman: the first pair has none, and peers without PFS never. */
const ESP_PROPOSALS = ['aes256gcm16-aes128gcm16-ecp256', 'aes256gcm16-aes128gcm16'];

/**
 * The body of `load-conn`. Nothing starts or restarts by itself: charon 5.9 gives children it restarts their former
 * reqids, which others may have by then, and packets go out through the wrong SA. The next sync initiates anew.
 * ESP goes in UDP also without NAT: gateways then need one open port, and userland ESP knows no other way. `ifId`: the
 * xfrm link that kernel ESP is behind.
 */
export function loadMessage(connection: IpsecConnection, dpdDelaySeconds: number, ifId?: number): ViciSection {
  const link = ifId === undefined ? {} : { if_id_in: String(ifId), if_id_out: String(ifId) };
  const child = ({ localTs, remoteTs }: IpsecChild): ViciSection => ({
    mode: 'tunnel',
    ...link,
    local_ts: [localTs],
    remote_ts: [remoteTs],
    esp_proposals: ESP_PROPOSALS,
    start_action: 'none',
    close_action: 'none',
    dpd_action: 'clear',
  });
  return {
    [connection.name]: {
      version: '2',
      local_addrs: [connection.localAddress],
      remote_addrs: [connection.remoteAddress ?? '%any'],
      local_port: String(connection.localPort),
      ...(connection.remoteAddress === undefined ? {} : { remote_port: String(connection.remotePort) }),
      encap: 'yes',
      mobike: 'no',
      proposals: IKE_PROPOSALS,
      dpd_delay: `${dpdDelaySeconds}s`,
      unique: 'replace',
      keyingtries: '0',
      local: { auth: 'psk', id: connection.localId },
      remote: { auth: 'psk', id: connection.remoteId },
      children: Object.fromEntries(connection.children.map((item) => [item.name, child(item)])),
    },
  };
}
