import type { Submariner } from '../../api/types.ts';
import { isIpAddress } from '../../net/cidr.ts';
import { UsageError } from '../../runtime/errors.ts';
import type { ClusterNetworks } from './cidrs.ts';
import { chooseImages } from './images.ts';
import type { JoinOptions } from './options.ts';

/** How the cluster reaches the broker. */
interface BrokerCoordinates {
  /** With scheme. */
  readonly server: string;
  readonly namespace: string;
  /** PEM. */
  readonly ca: string | undefined;
}

/** Everything that determines what is deployed. */
export interface JoinSettings {
  readonly clusterId: string;
  readonly networks: ClusterNetworks;
  readonly broker: BrokerCoordinates;
  readonly options: JoinOptions;
  /** Default tag of images. */
  readonly version: string;
}

const DRIVERS: Readonly<Record<string, string>> = {
  libreswan: 'libreswan',
  ipsec: 'libreswan',
  wireguard: 'wireguard',
  vxlan: 'vxlan',
};

/** The driver's name as the API has it; throws UsageError for an unknown one. */
export function cableDriverName(text: string): string {
  const name = DRIVERS[text.toLowerCase()];
  if (name !== undefined) return name;
  throw new UsageError(`--cable-driver: ${text} is unknown; choose ipsec (also called libreswan), wireguard or vxlan`);
}

/** The resolver text for --public-ip; throws UsageError when it is neither an address nor METHOD:VALUE. */
export function publicIpResolver(text: string | undefined): string {
  if (text === undefined || text === '') return '';
  if (isIpAddress(text)) return `ipv4:${text}`;
  if (/^(?:ipv4|dns|lb|api):[^:,\s]+$/.test(text)) return text;
  throw new UsageError(`--public-ip: ${text} is neither an address nor dns:NAME or lb:SERVICE`);
}

/** Throws UsageError when a link name cannot exist (Linux allows 15 characters without blank and slash). */
export function interfaceName(text: string | undefined): string {
  if (text === undefined || text === '') return '';
  if (/^[^\s/]{1,15}$/.test(text)) return text;
  throw new UsageError(`--interface: ${text} is not the name of a network link`);
}

/** A CA in PEM as the Submariner object holds it. */
export function encodeCa(pem: string): string {
  return Buffer.from(pem).toString('base64');
}

/** The status an operator would write; with us the configuration is what is deployed. */
export function submarinerStatus({ clusterId, networks, options, version }: JoinSettings): Submariner['status'] {
  return {
    clusterID: clusterId,
    natEnabled: options.natt,
    clusterCIDR: networks.podCidrs.join(','),
    serviceCIDR: networks.serviceCidrs.join(','),
    globalCIDR: '',
    networkPlugin: networks.plugin,
    version: chooseImages(options, version).version,
  };
}
