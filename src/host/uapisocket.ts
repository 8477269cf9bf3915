import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** Where wireguard-go has its sockets, and looks for one that it was given: it ends when there is none of its link's name. */
const FIXED_FOLDER = '/var/run/wireguard';

/** A UNIX socket that listens, for another program to accept connections on. */
export interface ListeningSocket {
  readonly descriptor: number;
  /** Lets go of it; the socket stays for the program that has inherited it. */
  release(): void;
}

function listen(server: Server, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(file, resolve);
  });
}

/** Node tells no descriptor of a server. */
function descriptorOf(server: Server): number {
  const { _handle: handle } = server as unknown as { readonly _handle?: { readonly fd?: unknown } };
  if (typeof handle?.fd !== 'number' || handle.fd < 0) throw new Error('this Node.js gives no descriptor of a server');
  return handle.fd;
}

/** Listens at a path; what was there before is replaced. */
export async function openListening(file: string): Promise<ListeningSocket> {
  // What Node closes it unlinks, by the name it listened at.
  const temporary = `${file}.new`;
  rmSync(temporary, { force: true });
  const server = createServer();
  await listen(server, temporary);
  renameSync(temporary, file);
  return { descriptor: descriptorOf(server), release: () => void server.close() };
}

/** Makes wireguard-go and `wg` find the socket of a link. Throws ExpectedError where nothing may be written. */
export function showSocket(link: string, socket: string): void {
  const shown = path.join(FIXED_FOLDER, `${link}.sock`);
  try {
    mkdirSync(FIXED_FOLDER, { recursive: true, mode: 0o700 });
    const temporary = `${shown}.${process.pid}`;
    rmSync(temporary, { force: true });
    symlinkSync(socket, temporary);
    renameSync(temporary, shown);
  } catch (cause) {
    throw new ExpectedError(`cannot make ${shown}: ${messageOf(cause)}`, {
      hint: `wireguard-go needs ${FIXED_FOLDER} writable: an emptyDir in a container with a read-only root.`,
      cause,
    });
  }
}

/** Undoes `showSocket`. */
export function hideSocket(link: string): void {
  rmSync(path.join(FIXED_FOLDER, `${link}.sock`), { force: true });
}
