import type { Service } from '../kube/objects.ts';
import { ipFamily, isIpAddress } from '../net/cidr.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** A public address and where it is from. */
export interface PublicIp {
  /** '' when there is none: the normal case without NAT. */
  readonly ip: string;
  readonly loadBalancer: boolean;
  /** Why a configured source gave nothing, for the Gateway status. */
  readonly problem?: string;
}

/** What resolving needs of the world. */
export interface PublicIpSources {
  findService(name: string): Promise<Service | undefined>;
  /** IPv4 addresses of a host name. */
  lookup(host: string): Promise<readonly string[]>;
}

const NONE: PublicIp = { ip: '', loadBalancer: false };

/**
 * The public address a resolver text names: a comma list of `ipv4:ADDRESS`, `lb:SERVICE`, `dns:NAME` or a bare
 * address; the first that gives one wins. Outside hosts are never asked what they see (`api:` is refused). Never rejects.
 */
export async function resolvePublicIp(resolver: string | undefined, sources: PublicIpSources): Promise<PublicIp> {
  const problems: string[] = [];
  const entries = (resolver ?? '').split(',').map((entry) => entry.trim());
  for (const entry of entries.filter((text) => text !== '')) {
    try {
      return await resolveEntry(entry, sources);
    } catch (error) {
      problems.push(`${entry}: ${messageOf(error)}`);
    }
  }
  return problems.length === 0 ? NONE : { ...NONE, problem: `no public address: ${problems.join('; ')}` };
}

async function resolveEntry(entry: string, sources: PublicIpSources): Promise<PublicIp> {
  if (isIpv4(entry)) return { ip: entry, loadBalancer: false };
  const [method = '', value = '', ...more] = entry.split(':');
  if (more.length > 0 || value === '') throw new ExpectedError('is not METHOD:VALUE');
  const resolve = METHODS[method];
  if (resolve === undefined) throw new ExpectedError(`method ${method} is not known (ipv4, lb, dns)`);
  return { ip: await resolve(value, sources), loadBalancer: method === 'lb' };
}

type Resolve = (value: string, sources: PublicIpSources) => Promise<string>;

const METHODS: Readonly<Record<string, Resolve>> = {
  ipv4: async (value) => {
    if (isIpv4(value)) return value;
    throw new ExpectedError('is not an IPv4 address');
  },
  dns: firstAddress,
  lb: loadBalancerAddress,
  api: async () => {
    throw new ExpectedError('asking an outside host is not supported; name the address as ipv4:ADDRESS');
  },
};

async function loadBalancerAddress(name: string, sources: PublicIpSources): Promise<string> {
  const service = await sources.findService(name);
  if (service === undefined) throw new ExpectedError('no such Service');
  const ingress = service.status?.loadBalancer?.ingress?.[0];
  if (ingress?.ip !== undefined && isIpv4(ingress.ip)) return ingress.ip;
  if (ingress?.hostname === undefined) throw new ExpectedError('the load balancer has no address yet');
  return firstAddress(ingress.hostname, sources);
}

async function firstAddress(host: string, sources: PublicIpSources): Promise<string> {
  const [first] = [...(await sources.lookup(host))].filter(isIpv4).sort();
  if (first === undefined) throw new ExpectedError(`${host} has no IPv4 address`);
  return first;
}

function isIpv4(text: string): boolean {
  return isIpAddress(text) && ipFamily(text) === 4;
}
