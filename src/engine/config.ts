import { readFileSync } from 'node:fs';
import { clusterIdProblem } from '../api/clusterid.ts';
import { ENDPOINT_PORTS } from '../api/daemonstate.ts';
import { TUNNEL_PORT } from '../api/names.ts';
import { proxyFor } from '../kube/proxy.ts';
import { canonicalCidr, ipFamily } from '../net/cidr.ts';
import { readConfig, type ConfigReader } from '../runtime/config.ts';
import { readEndpointsAddress, type EndpointsAddress } from '../runtime/endpoints.ts';
import { UsageError, messageOf } from '../runtime/errors.ts';
import type { Environment } from '../runtime/process.ts';
import type { ChangeMode } from './changedecision.ts';

/** How the broker's API server is reached. */
export interface BrokerConfig {
  /** https://host:port */
  readonly server: string;
  readonly namespace: string;
  /** PEM. */
  readonly ca: string | undefined;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  /** Secret in the own namespace that the file is of, and in which the token is renewed. */
  readonly secretName?: string | undefined;
  readonly insecure: boolean;
  /** HTTP proxy on the way. */
  readonly proxyUrl: string | undefined;
}

/** Names of cable drivers as Endpoint.spec.backend has them. */
export const DRIVER_NAMES = ['libreswan', 'wireguard', 'vxlan'] as const;
export type CableDriverName = (typeof DRIVER_NAMES)[number];

/** Configuration of a gateway engine, as upstream's environment has it (SUBMARINER_*, CE_IPSEC_*, BROKER_K8S_*, LEADERSHIP_*). */
export interface EngineConfig {
  readonly clusterId: string;
  readonly namespace: string;
  readonly nodeName: string;
  readonly podName: string | undefined;
  readonly cableDriver: CableDriverName;
  /** Whether a change of the driver waits for the clusters this one is connected to. */
  readonly driverChange: ChangeMode;
  /** Canonical IPv4 prefixes; other families are left out until cables carry them. */
  readonly clusterCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly globalCidrs: readonly string[];
  readonly natEnabled: boolean;
  readonly preferredServer: boolean;
  readonly tunnelPort: number;
  readonly ipsec: { readonly forceEncaps: boolean; readonly debug: boolean };
  /** Standard base64 of the secret's bytes; '' for a driver that needs none. */
  readonly psk: string;
  /** Secret in the own namespace that the key is of, and in which it may change. */
  readonly pskSecretName?: string | undefined;
  /** ipv4:ADDRESS, lb:SERVICE, dns:NAME, or an address; several separated by commas. */
  readonly publicIp: string | undefined;
  /** Link whose address is private_ip. */
  readonly interfaceName: string | undefined;
  readonly stateDir: string;
  /** Where health, metrics and state are served; undefined: nowhere. */
  readonly serve?: EndpointsAddress | undefined;
  readonly healthCheck: { readonly enabled: boolean; readonly intervalMs: number; readonly maxPacketLossCount: number };
  readonly leadership: {
    readonly leaseDurationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryPeriodMs: number;
  };
  /** Between two beats where a gateway stands by; five that are lost in a row are a failure. */
  readonly beatIntervalMs: number;
  /** Absent only while cleaning up. */
  readonly broker: BrokerConfig | undefined;
  /** Remove everything this engine ever made, and end. */
  readonly uninstall: boolean;
}

const SECRETS_DIR = '/run/secrets/submariner.io';
const DRIVERS = [...DRIVER_NAMES, 'ipsec'] as const;

type ReadBytes = (path: string) => Buffer;

/** Reads the configuration; throws one UsageError that lists every mistake. `readBytes` reads mounted files. */
export function readEngineConfig(env: Environment, readBytes: ReadBytes = (path) => readFileSync(path)): EngineConfig {
  const readText = (path: string): string => readBytes(path).toString('utf8');
  return readConfig(env, (read) => build(read, env, readBytes), readText);
}

function build(read: ConfigReader, env: Environment, readBytes: ReadBytes): EngineConfig {
  const uninstall = read.boolean('SUBMARINER_UNINSTALL', { default: false });
  const named = read.oneOf('SUBMARINER_CABLEDRIVER', DRIVERS, { default: 'libreswan' });
  const cableDriver = named === 'ipsec' ? 'libreswan' : named;
  return {
    uninstall,
    cableDriver,
    driverChange: read.oneOf('SUBMARINER_CABLEDRIVERCHANGE', ['together', 'now'], { default: 'together' }),
    clusterId: read.parsed('SUBMARINER_CLUSTERID', parseClusterId, ''),
    namespace: read.string('SUBMARINER_NAMESPACE'),
    nodeName: read.string('NODE_NAME'),
    podName: read.optional('POD_NAME'),
    clusterCidrs: cidrs(read, 'SUBMARINER_CLUSTERCIDR'),
    serviceCidrs: cidrs(read, 'SUBMARINER_SERVICECIDR'),
    globalCidrs: cidrs(read, 'SUBMARINER_GLOBALCIDR', []),
    natEnabled: read.boolean('SUBMARINER_NATENABLED', { default: false }),
    preferredServer: read.boolean('CE_IPSEC_PREFERREDSERVER', { default: false }),
    tunnelPort: read.integer('CE_IPSEC_NATTPORT', { default: TUNNEL_PORT, min: 1, max: 65_535 }),
    ipsec: {
      forceEncaps: read.boolean('CE_IPSEC_FORCEENCAPS', { default: false }),
      debug: read.boolean('CE_IPSEC_DEBUG', { default: false }),
    },
    pskSecretName: read.optional('CE_IPSEC_PSKSECRET'),
    psk: presharedKey(read, readBytes, cableDriver === 'vxlan' || uninstall),
    publicIp: read.optional('SUBMARINER_PUBLICIP'),
    interfaceName: read.optional('SUBMARINER_INTERFACE'),
    stateDir: read.string('SUBMARINER_STATE_DIR', { default: '/var/lib/submariner' }),
    serve: readEndpointsAddress(read, ENDPOINT_PORTS.engine),
    healthCheck: {
      enabled: read.boolean('SUBMARINER_HEALTHCHECKENABLED', { default: true }),
      intervalMs: seconds(read, 'SUBMARINER_HEALTHCHECKINTERVAL', 1),
      maxPacketLossCount: read.integer('SUBMARINER_HEALTHCHECKMAXPACKETLOSSCOUNT', { default: 5, min: 1, max: 10_000 }),
    },
    leadership: leadership(read),
    beatIntervalMs: read.integer('SUBMARINER_GATEWAYPROBEINTERVAL', { default: 100, min: 20, max: 10_000 }),
    broker: uninstall && (env['BROKER_K8S_APISERVER'] ?? '') === '' ? undefined : broker(read, env),
  };
}

function parseClusterId(text: string): string {
  const problem = clusterIdProblem(text);
  if (problem !== undefined) throw new UsageError(problem);
  return text;
}

function cidrs(read: ConfigReader, name: string, fallback?: readonly string[]): readonly string[] {
  const texts = read.list(name, fallback === undefined ? {} : { default: fallback });
  const parsed = texts.map((text) => ({ text, cidr: canonicalCidr(text) }));
  for (const { text, cidr } of parsed) if (cidr === undefined) read.mistake(`${name}: "${text}" is not a CIDR`);
  return parsed.map(({ cidr }) => cidr).filter((cidr) => cidr !== undefined && ipFamily(cidr) === 4) as string[];
}

/** Milliseconds of a setting in seconds, fractions allowed, 0.1 at least. */
function seconds(read: ConfigReader, name: string, fallback: number): number {
  const parse = (text: string): number => {
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < 0.1 || value > 3600)
      throw new UsageError('is not a number of seconds between 0.1 and 3600');
    return value;
  };
  return Math.round(read.parsed(name, parse, fallback, { default: fallback }) * 1000);
}

function leadership(read: ConfigReader): EngineConfig['leadership'] {
  const times = {
    leaseDurationMs: seconds(read, 'LEADERSHIP_LEASEDURATION', 5),
    renewDeadlineMs: seconds(read, 'LEADERSHIP_RENEWDEADLINE', 4),
    retryPeriodMs: seconds(read, 'LEADERSHIP_RETRYPERIOD', 1),
  };
  if (times.leaseDurationMs <= times.renewDeadlineMs || times.renewDeadlineMs <= times.retryPeriodMs) {
    read.mistake(
      'LEADERSHIP_LEASEDURATION must be longer than LEADERSHIP_RENEWDEADLINE, and that longer than LEADERSHIP_RETRYPERIOD',
    );
  }
  return times;
}

/** CE_IPSEC_PSK is the base64 text itself; the file of CE_IPSEC_PSKSECRET holds the bytes. */
function presharedKey(read: ConfigReader, readBytes: ReadBytes, optional: boolean): string {
  const secret = read.optional('CE_IPSEC_PSKSECRET');
  if (secret !== undefined) {
    const path = `${SECRETS_DIR}/${secret}/psk`;
    try {
      const bytes = readBytes(path);
      if (bytes.length > 0) return bytes.toString('base64');
      if (!optional) read.mistake(`${path} is empty`);
    } catch (error) {
      if (!optional) read.mistake(`cannot read ${path}: ${messageOf(error)}`);
    }
    return '';
  }
  const text = read.optional('CE_IPSEC_PSK');
  if (text === undefined && !optional) read.mistake('neither CE_IPSEC_PSKSECRET nor CE_IPSEC_PSK is set');
  return text ?? '';
}

function broker(read: ConfigReader, env: Environment): BrokerConfig {
  const secret = read.optional('BROKER_K8S_SECRET');
  const folder = secret === undefined ? undefined : `${SECRETS_DIR}/${secret}`;
  const insecure = read.boolean('BROKER_K8S_INSECURE', { default: false });
  const ca =
    folder === undefined
      ? read.optional('BROKER_K8S_CA')
      : read.file(`${folder}/ca.crt`, insecure ? { default: '' } : {});
  const token = folder === undefined ? read.string('BROKER_K8S_APISERVERTOKEN') : undefined;
  if (folder !== undefined) read.file(`${folder}/token`);
  const server = read.parsed('BROKER_K8S_APISERVER', parseServer, '');
  return {
    server,
    proxyUrl: proxyFor(server, env),
    namespace: read.string('BROKER_K8S_REMOTENAMESPACE'),
    ca: ca === undefined || ca === '' ? undefined : pem(ca),
    token,
    tokenFile: folder === undefined ? undefined : `${folder}/token`,
    secretName: secret,
    insecure,
  };
}

function parseServer(text: string): string {
  const url = text.includes('://') ? text : `https://${text}`;
  if (!URL.canParse(url) || new URL(url).hostname === '') throw new UsageError('is not HOST:PORT of an API server');
  return url;
}

/** The environment carries the CA as base64 of PEM, the mounted file as PEM. */
function pem(text: string): string {
  return text.includes('-----BEGIN') ? text : Buffer.from(text, 'base64').toString('utf8');
}
