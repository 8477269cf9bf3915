import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { IkeSaState, WireguardPeerState } from '../../api/daemonstate.ts';
import type { CommandRunner } from '../../host/command.ts';
import { findDaemon } from '../../host/daemon.ts';
import { connectVici } from '../../host/vici/client.ts';
import { parseDump, parseUapi, type ObservedDevice } from '../../host/wg.ts';
import { askUapi } from '../../host/wireguardgo.ts';
import { messageOf } from '../../runtime/errors.ts';
import { parseSas, type ObservedIke } from '../drivers/ipsec-observation.ts';

/** What charon and WireGuard have on this node, whatever the driver remembers. */
export interface Tunnels {
  readonly ike: readonly IkeSaState[];
  readonly peers: readonly WireguardPeerState[];
  /** What could not be read. */
  readonly problems: readonly string[];
}

export interface TunnelPlace {
  readonly runner: CommandRunner;
  readonly stateDir: string;
  /** Own links of the kernel's WireGuard. */
  readonly wireguardLinks: readonly string[];
}

interface Sockets {
  readonly charon: readonly string[];
  /** Of wireguard-go, one a link. */
  readonly wireguard: readonly string[];
}

/** The control sockets of running daemons below the state directory. */
function findSockets(stateDir: string): Sockets {
  let names: readonly string[] = [];
  try {
    names = readdirSync(stateDir, { recursive: true, encoding: 'utf8' });
  } catch {
    // Before the first start of a driver there is no such directory.
  }
  const runningIn = (pattern: RegExp, folderOf: (socket: string) => string): readonly string[] =>
    names
      .filter((name) => pattern.test(name))
      .map((name) => path.join(stateDir, name))
      .filter((socket) => findDaemon(folderOf(socket)) !== undefined);
  return {
    charon: runningIn(/(?:^|\/)charon\.vici$/, (socket) => path.dirname(socket)),
    wireguard: runningIn(/(?:^|\/)run\/[^/]+\.sock$/, (socket) => path.dirname(path.dirname(socket))),
  };
}

function ikeState({ children, ...ike }: ObservedIke): IkeSaState {
  return {
    ...ike,
    children: children.map(({ bytesIn, bytesOut, spis: _spis, ...child }) => ({
      ...child,
      rxBytes: bytesIn,
      txBytes: bytesOut,
    })),
  };
}

async function askCharon(socket: string): Promise<readonly IkeSaState[]> {
  const client = await connectVici(socket);
  try {
    return parseSas(await client.stream('list-sas', 'list-sa')).map(ikeState);
  } finally {
    client.close();
  }
}

/** Keys other than the public one are left out. */
function peerStates(link: string, { peers }: ObservedDevice): readonly WireguardPeerState[] {
  return peers.map(({ publicKey, endpoint, allowedIps, keepaliveSeconds, latestHandshake, rxBytes, txBytes }) => ({
    link,
    publicKey,
    endpoint: endpoint ?? null,
    allowedIps,
    keepaliveSeconds,
    latestHandshake: latestHandshake === 0 ? null : new Date(latestHandshake * 1000).toISOString(),
    rxBytes,
    txBytes,
  }));
}

/** Looks at all tunnels; never rejects, what could not be read is a problem. */
export async function observeTunnels({ runner, stateDir, wireguardLinks }: TunnelPlace): Promise<Tunnels> {
  const problems: string[] = [];
  const sockets = findSockets(stateDir);
  const attempt = async <T>(what: string, look: Promise<readonly T[]>): Promise<readonly T[]> => {
    try {
      return await look;
    } catch (error) {
      problems.push(`${what}: ${messageOf(error)}`);
      return [];
    }
  };
  const kernel = async (link: string): Promise<readonly WireguardPeerState[]> =>
    peerStates(link, parseDump((await runner.run('wg', ['show', link, 'dump'])).stdout));
  const userland = async (socket: string): Promise<readonly WireguardPeerState[]> =>
    peerStates(path.basename(socket, '.sock'), parseUapi(await askUapi(socket, 'get=1\n\n')));
  const [ike, ...peers] = await Promise.all([
    Promise.all(sockets.charon.map((socket) => attempt('charon', askCharon(socket)))),
    ...wireguardLinks.map((link) => attempt(`WireGuard link ${link}`, kernel(link))),
    ...sockets.wireguard.map((socket) => attempt('wireguard-go', userland(socket))),
  ]);
  return { ike: ike.flat(), peers: peers.flat(), problems };
}
