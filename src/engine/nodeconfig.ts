import { GATEWAY_CONFIG_PREFIX, NAT_DISCOVERY_PORT } from '../api/names.ts';

/** What the labels and annotations of a Node say about the gateway on it. */
export interface NodeConfig {
  readonly udpPort: number;
  readonly nattDiscoveryPort: number;
  /** Resolver text of the public address. */
  readonly publicIp: string | undefined;
  readonly preferredServer: boolean | undefined;
  /** Values that cannot be used, for the Gateway status. */
  readonly mistakes: readonly string[];
  /** Keys with our prefix that mean nothing to us; upstream stops on them, we say so and go on. */
  readonly unknownKeys: readonly string[];
}

type StringMap = Readonly<Record<string, string>>;

const KNOWN = ['udp-port', 'natt-discovery-port', 'public-ip', 'preferred-server'];

/** Reads gateway.submariner.io/{udp-port,natt-discovery-port,public-ip,preferred-server}; the annotation beats the label. */
export function parseNodeConfig(
  node: { readonly labels?: StringMap | undefined; readonly annotations?: StringMap | undefined },
  defaults: { readonly udpPort: number },
): NodeConfig {
  const values = new Map(
    [...Object.entries(node.labels ?? {}), ...Object.entries(node.annotations ?? {})]
      .filter(([key]) => key.startsWith(GATEWAY_CONFIG_PREFIX))
      .map(([key, value]) => [key.slice(GATEWAY_CONFIG_PREFIX.length), value.trim()]),
  );
  const mistakes: string[] = [];
  const read = <T>(key: string, fallback: T, parse: (text: string) => T | undefined, wanted: string): T => {
    const text = values.get(key);
    if (text === undefined || text === '') return fallback;
    const value = parse(text);
    if (value === undefined) mistakes.push(`${GATEWAY_CONFIG_PREFIX}${key}=${text} of this node is not ${wanted}`);
    return value ?? fallback;
  };
  const aPort = 'a port (1-65535)';
  return {
    udpPort: read('udp-port', defaults.udpPort, parsePort, aPort),
    nattDiscoveryPort: read('natt-discovery-port', NAT_DISCOVERY_PORT, parsePort, aPort),
    publicIp: values.get('public-ip') || undefined,
    preferredServer: read<boolean | undefined>('preferred-server', undefined, parseBoolean, 'true or false'),
    mistakes,
    unknownKeys: [...values.keys()].filter((key) => !KNOWN.includes(key)).map((key) => GATEWAY_CONFIG_PREFIX + key),
  };
}

/** A port number in decimal; undefined for anything else. */
export function parsePort(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

function parseBoolean(text: string): boolean | undefined {
  if (text === 'true') return true;
  return text === 'false' ? false : undefined;
}
