import { parseAvailability } from '../api/availability.ts';
import { asChanged } from '../api/driverchange.ts';
import { parseGateways, supersedes, type ClusterGateways } from '../api/gateways.ts';
import type { Endpoint, EndpointSpec, Gateway } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';

/** What the own cluster's Endpoint says. */
export interface Announcement {
  /** Node of the gateway that published it. */
  readonly hostname: string;
  readonly cableName: string;
  readonly announced: ClusterGateways | undefined;
}

/** The newest Endpoint of a cluster; undefined when it has none that parses. */
export function announcementOf(endpoints: readonly unknown[], clusterId: string): Announcement | undefined {
  const own = endpoints.flatMap((object): readonly Endpoint[] => {
    const parsed = parseEndpoint(object);
    return parsed.problem === undefined && parsed.endpoint.spec.cluster_id === clusterId ? [parsed.endpoint] : [];
  });
  const newest = own.reduce<Endpoint | undefined>(
    (best, next) => (best === undefined || supersedes(next, best) ? next : best),
    undefined,
  );
  if (newest === undefined) return undefined;
  const { hostname, cable_name: cableName } = newest.spec;
  return { hostname, cableName, announced: parseGateways(newest) };
}

/** Gateways of the own cluster that can have cables beside those of the active one, and what is wrong with others. */
export interface Present {
  readonly specs: readonly EndpointSpec[];
  readonly problems: readonly string[];
}

/** This gateway and those others that can stand by; of several with one address none but this one. */
export function presentGateways(own: EndpointSpec, gateways: readonly Gateway[]): Present {
  const problems: string[] = [];
  const others = gateways.flatMap((gateway): readonly EndpointSpec[] => {
    const spec = asChanged(gateway.status.localEndpoint, own.backend);
    if (spec.hostname === own.hostname || (parseAvailability(gateway)?.slots ?? 0) < 2) return [];
    const parsed = parseEndpoint({ metadata: {}, spec });
    const sound = parsed.problem === undefined && spec.cluster_id === own.cluster_id && spec.backend === own.backend;
    return sound ? [parsed.endpoint.spec] : [];
  });
  const specs = others.filter((spec) => {
    const twin = [own, ...others].find((one) => one !== spec && one.private_ip === spec.private_ip);
    if (twin === undefined) return true;
    problems.push(`gateways ${twin.hostname} and ${spec.hostname} have one address, ${spec.private_ip}`);
    return false;
  });
  return { specs: [own, ...specs], problems };
}
