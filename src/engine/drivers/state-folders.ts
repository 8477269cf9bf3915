import path from 'node:path';
import { stopDaemon } from '../../host/daemon.ts';

/** Folder of charon below the state directory. */
export function charonFolder(stateDir: string): string {
  return path.join(stateDir, 'charon');
}

/** Folder of WireGuard below the state directory. */
export function wireguardFolder(stateDir: string): string {
  return path.join(stateDir, 'wireguard');
}

/** Ends the daemons another driver left behind; they would hold the UDP port of tunnels. */
export async function retireOtherDaemons(stateDir: string, own: 'charon' | 'wireguard' | undefined): Promise<void> {
  if (own !== 'charon') await stopDaemon(charonFolder(stateDir));
  if (own !== 'wireguard') await stopDaemon(wireguardFolder(stateDir));
}
