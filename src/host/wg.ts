import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError } from '../runtime/errors.ts';

/** A peer as the device has it. Keys in standard base64, as `wg` prints them. */
export interface ObservedPeer {
  readonly publicKey: string;
  readonly presharedKey: string | undefined;
  /** address:port, where packets were last seen from or were told to go. */
  readonly endpoint: string | undefined;
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
  /** Seconds since the epoch; 0 = never. */
  readonly latestHandshake: number;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface ObservedDevice {
  /** Undefined: none set. */
  readonly privateKey: string | undefined;
  readonly listenPort: number;
  readonly peers: readonly ObservedPeer[];
}

/** A peer as it is to be. `endpoint` and `allowedIps` are left as they are when undefined. */
export interface PeerChange {
  readonly publicKey: string;
  readonly presharedKey: string;
  readonly endpoint: string | undefined;
  readonly allowedIps: readonly string[] | undefined;
  readonly keepaliveSeconds: number;
}

/** What has to change; all empty or undefined = nothing. */
export interface DeviceChange {
  readonly privateKey: string | undefined;
  readonly listenPort: number | undefined;
  readonly setPeers: readonly PeerChange[];
  readonly removePeers: readonly string[];
}

const PKCS8_X25519 = Buffer.from('302e020100300506032b656e04220420', 'hex');
const KEY_BYTES = 32;

/** Whether the text is a WireGuard key: 32 bytes in standard base64. */
export function isWireguardKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === KEY_BYTES && bytes.toString('base64') === text;
}

/** A new private key, clamped as RFC 7748 says, in base64. */
export function generatePrivateKey(): string {
  const bytes = randomBytes(KEY_BYTES);
  bytes[0] = (bytes[0] ?? 0) & 248;
  bytes[31] = ((bytes[31] ?? 0) & 127) | 64;
  return bytes.toString('base64');
}

/** The public key of a private key, both in base64. */
export function publicKeyOf(privateKey: string): string {
  const der = Buffer.concat([PKCS8_X25519, Buffer.from(privateKey, 'base64')]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES).toString('base64');
}

/** The private key kept in the folder (mode 0600), made when there is none; it stays the same over restarts. */
export function ensurePrivateKey(folder: string): string {
  const file = path.join(folder, 'private.key');
  let kept: string | undefined;
  try {
    kept = readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ENOENT') throw error;
  }
  if (kept !== undefined && isWireguardKey(kept)) return kept;
  const made = generatePrivateKey();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, `${made}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return made;
}

function base64(hex: string): string | undefined {
  return /^[0-9a-f]{64}$/i.test(hex) && !/^0+$/.test(hex) ? Buffer.from(hex, 'hex').toString('base64') : undefined;
}

function hexadecimal(key: string): string {
  return Buffer.from(key, 'base64').toString('hex');
}

function wholeNumber(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

type Fields = ReadonlyMap<string, readonly string[]>;

function first(fields: Fields, key: string): string | undefined {
  return fields.get(key)?.[0];
}

function uapiPeer(fields: Fields): ObservedPeer | undefined {
  const publicKey = base64(first(fields, 'public_key') ?? '');
  if (publicKey === undefined) return undefined;
  return {
    publicKey,
    presharedKey: base64(first(fields, 'preshared_key') ?? ''),
    endpoint: first(fields, 'endpoint'),
    allowedIps: fields.get('allowed_ip') ?? [],
    keepaliveSeconds: wholeNumber(first(fields, 'persistent_keepalive_interval')),
    latestHandshake: wholeNumber(first(fields, 'last_handshake_time_sec')),
    rxBytes: wholeNumber(first(fields, 'rx_bytes')),
    txBytes: wholeNumber(first(fields, 'tx_bytes')),
  };
}

/** The fields of the device, then those of each peer; a peer begins with its key. */
function uapiSections(text: string): readonly Fields[] {
  const sections: Map<string, string[]>[] = [new Map()];
  for (const line of text.split('\n')) {
    const [, key, value = ''] = /^([a-z_]+)=(.*)$/.exec(line.trim()) ?? [];
    if (key === undefined || key === 'errno') continue;
    if (key === 'public_key') sections.push(new Map());
    const section = sections.at(-1);
    section?.set(key, [...(section.get(key) ?? []), value]);
  }
  return sections;
}

/** Reads the answer to `get=1` of the cross-platform userspace API; throws ExpectedError when it is none. */
export function parseUapi(text: string): ObservedDevice {
  const errno = /^errno=(-?\d+)$/m.exec(text)?.[1];
  if (errno !== '0') throw new ExpectedError(`wireguard-go does not tell its state (errno ${errno ?? 'missing'})`);
  const [device = new Map<string, string[]>(), ...peers] = uapiSections(text);
  return {
    privateKey: base64(first(device, 'private_key') ?? ''),
    listenPort: wholeNumber(first(device, 'listen_port')),
    peers: peers.map(uapiPeer).filter((peer) => peer !== undefined),
  };
}

function uapiSetPeer(peer: PeerChange): readonly string[] {
  return [
    `public_key=${hexadecimal(peer.publicKey)}`,
    `preshared_key=${hexadecimal(peer.presharedKey)}`,
    ...(peer.endpoint === undefined ? [] : [`endpoint=${peer.endpoint}`]),
    `persistent_keepalive_interval=${peer.keepaliveSeconds}`,
    ...(peer.allowedIps === undefined ? [] : ['replace_allowed_ips=true']),
    ...(peer.allowedIps ?? []).map((cidr) => `allowed_ip=${cidr}`),
  ];
}

/** The `set=1` operation of the userspace API. */
export function renderUapi(change: DeviceChange): string {
  const lines = [
    'set=1',
    ...(change.privateKey === undefined ? [] : [`private_key=${hexadecimal(change.privateKey)}`]),
    ...(change.listenPort === undefined ? [] : [`listen_port=${change.listenPort}`]),
    ...change.removePeers.flatMap((key) => [`public_key=${hexadecimal(key)}`, 'remove=true']),
    ...change.setPeers.flatMap(uapiSetPeer),
  ];
  return `${lines.join('\n')}\n\n`;
}

function orUndefined(text: string | undefined): string | undefined {
  return text === undefined || text === '' || text === '(none)' ? undefined : text;
}

/** Reads `wg show LINK dump`; lines that are none are left out. */
export function parseDump(text: string): ObservedDevice {
  const [head = '', ...lines] = text.trim().split('\n');
  const [privateKey, , listenPort] = head.split('\t');
  const peers = lines.flatMap((line): readonly ObservedPeer[] => {
    const [publicKey = '', psk, endpoint, allowed, handshake, rx, tx, keepalive] = line.split('\t');
    if (!isWireguardKey(publicKey)) return [];
    return [
      {
        publicKey,
        presharedKey: orUndefined(psk),
        endpoint: orUndefined(endpoint),
        allowedIps: orUndefined(allowed)?.split(',') ?? [],
        keepaliveSeconds: wholeNumber(keepalive),
        latestHandshake: wholeNumber(handshake),
        rxBytes: wholeNumber(rx),
        txBytes: wholeNumber(tx),
      },
    ];
  });
  return { privateKey: orUndefined(privateKey), listenPort: wholeNumber(listenPort), peers };
}

/** One run of `wg`; `key`, when there is one, is what `keyFile` has to hold meanwhile: `wg` takes keys from files only. */
export interface WgCommand {
  readonly args: readonly string[];
  readonly key: string | undefined;
}

/** The runs of `wg set` that make the change. */
export function wgCommands(link: string, change: DeviceChange, keyFile: string): readonly WgCommand[] {
  const { privateKey, listenPort, setPeers, removePeers } = change;
  const port = listenPort === undefined ? [] : ['listen-port', String(listenPort)];
  const key = privateKey === undefined ? [] : ['private-key', keyFile];
  const device = [...port, ...key, ...removePeers.flatMap((publicKey) => ['peer', publicKey, 'remove'])];
  const peers = setPeers.map((peer) => {
    const secret = ['preshared-key', keyFile, 'persistent-keepalive', String(peer.keepaliveSeconds)];
    const endpoint = peer.endpoint === undefined ? [] : ['endpoint', peer.endpoint];
    const allowed = peer.allowedIps === undefined ? [] : ['allowed-ips', peer.allowedIps.join(',')];
    return { key: peer.presharedKey, args: ['set', link, 'peer', peer.publicKey, ...secret, ...endpoint, ...allowed] };
  });
  return device.length === 0 ? peers : [{ args: ['set', link, ...device], key: privateKey }, ...peers];
}

/** Whether the change changes nothing. */
export function isEmptyChange(change: DeviceChange): boolean {
  const { privateKey, listenPort, setPeers, removePeers } = change;
  return privateKey === undefined && listenPort === undefined && setPeers.length === 0 && removePeers.length === 0;
}
