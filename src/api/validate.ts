/** Endpoints and Clusters are written by others; nothing in them is believed before it went through here. */
import { canonicalCidr, cidrsOverlap, isIpAddress } from '../net/cidr.ts';
import { clusterIdProblem } from './clusterid.ts';
import { isObject } from './decode.ts';
import { CLUSTER_ID_LABEL } from './names.ts';
import type { Cluster, Endpoint, EndpointSpec, Metadata } from './types.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Either the object or a sentence that says all that is wrong with it. */
export type Parsed<T> = ({ readonly problem?: undefined } & T) | { readonly problem: string };

/**
 * Reads an Endpoint; CIDRs come out in canonical form (host bits masked), everything else unchanged. Its cluster ID must
 * be that of its label, when it has one.
 */
export function parseEndpoint(value: unknown): Parsed<{ readonly endpoint: Endpoint }> {
  const reader = new FieldReader(value, 'Endpoint');
  const { spec } = reader;
  const parsed: EndpointSpec = {
    ...(spec as unknown as EndpointSpec),
    cluster_id: reader.clusterId(),
    cable_name: reader.text('cable_name'),
    hostname: reader.text('hostname', 'may be empty'),
    subnets: reader.cidrs('subnets', 'at least one'),
    private_ip: reader.address('private_ip'),
    public_ip: reader.address('public_ip'),
    nat_enabled: spec['nat_enabled'] === true,
    backend: reader.text('backend'),
    ...reader.backendConfig(),
  };
  if (parsed.private_ip === '' && parsed.public_ip === '') reader.wrong('private_ip and public_ip are both empty');
  reader.optionalAddress('healthCheckIP');
  return reader.result(() => ({
    endpoint: { apiVersion: 'submariner.io/v1', kind: 'Endpoint', metadata: reader.metadata, spec: parsed },
  }));
}

/** Reads a Cluster; CIDRs come out in canonical form. Its cluster ID must be that of its label, when it has one. */
export function parseCluster(value: unknown): Parsed<{ readonly cluster: Cluster }> {
  const reader = new FieldReader(value, 'Cluster');
  const spec = {
    ...(reader.spec as unknown as Cluster['spec']),
    cluster_id: reader.clusterId(),
    service_cidr: reader.cidrs('service_cidr'),
    cluster_cidr: reader.cidrs('cluster_cidr'),
    global_cidr: reader.cidrs('global_cidr'),
  };
  return reader.result(() => ({
    cluster: { apiVersion: 'submariner.io/v1', kind: 'Cluster', metadata: reader.metadata, spec },
  }));
}

/** Names the CIDRs that another cluster shares with ours; undefined when there are none. */
export function overlapProblem(
  other: { readonly clusterId: string; readonly cidrs: readonly string[] },
  local: { readonly clusterId: string; readonly cidrs: readonly string[] },
): string | undefined {
  const pairs = other.cidrs.flatMap((theirs) =>
    local.cidrs
      .filter((ours) => cidrsOverlap(theirs, ours))
      .map((ours) => `${theirs} overlaps ${ours} of ${local.clusterId}`),
  );
  return pairs.length === 0 ? undefined : `CIDRs of cluster ${other.clusterId} clash: ${pairs.join(', ')}`;
}

/** Why an object from the broker does not belong to the cluster its label names; undefined when label and spec agree. */
export function ownershipProblem(object: unknown): string | undefined {
  const fields = isObject(object) ? object : {};
  const metadata = isObject(fields['metadata']) ? fields['metadata'] : {};
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  const spec = isObject(fields['spec']) ? fields['spec'] : {};
  const label = labels[CLUSTER_ID_LABEL];
  if (label === undefined || label === spec['cluster_id']) return undefined;
  return `its label ${CLUSTER_ID_LABEL} says cluster ${show(label)}, its spec.cluster_id ${show(spec['cluster_id'])}`;
}

function show(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}

/** Reads fields one by one and notes every mistake. */
class FieldReader {
  readonly spec: Fields;
  readonly metadata: Metadata;
  readonly #kind: string;
  readonly #mistakes: string[] = [];

  constructor(value: unknown, kind: string) {
    const object = isObject(value) ? value : {};
    this.#kind = kind;
    this.spec = isObject(object['spec']) ? object['spec'] : {};
    this.metadata = isObject(object['metadata']) ? object['metadata'] : {};
    if (!isObject(object['spec'])) this.wrong('it has no spec');
    const owner = ownershipProblem(value);
    if (owner !== undefined) this.wrong(owner);
  }

  wrong(mistake: string): void {
    this.#mistakes.push(mistake);
  }

  clusterId(): string {
    const id = this.text('cluster_id');
    const problem = id === '' ? undefined : clusterIdProblem(id);
    if (problem !== undefined) this.wrong(problem);
    return id;
  }

  text(name: string, blank?: 'may be empty'): string {
    const value = this.spec[name];
    if (typeof value === 'string' && (value !== '' || blank !== undefined)) return value;
    this.wrong(value === undefined || value === '' ? `${name} is missing` : `${name} is ${show(value)}, not a text`);
    return '';
  }

  cidrs(name: string, least?: 'at least one'): readonly string[] {
    const value = this.spec[name] ?? [];
    if (!Array.isArray(value)) {
      this.wrong(`${name} is ${show(value)}, not a list of CIDRs`);
      return [];
    }
    const items: readonly unknown[] = value;
    if (items.length === 0 && least !== undefined) this.wrong(`${name} is empty`);
    const canonical = items.map((item) => (typeof item === 'string' ? canonicalCidr(item) : undefined));
    const bad = items.filter((_, index) => canonical[index] === undefined);
    if (bad.length > 0) this.wrong(`${name} holds what is no CIDR: ${bad.map(show).join(', ')}`);
    return canonical.filter((cidr) => cidr !== undefined);
  }

  /** '' when the field is empty or absent. */
  address(name: string): string {
    const value = this.spec[name] ?? '';
    if (value === '' || (typeof value === 'string' && isIpAddress(value))) return value;
    this.wrong(`${name} is ${show(value)}, not an IP address`);
    return '';
  }

  optionalAddress(name: string): void {
    if (this.spec[name] !== undefined) this.address(name);
  }

  backendConfig(): { readonly backend_config?: Readonly<Record<string, string>> } {
    const value = this.spec['backend_config'];
    if (value === undefined || value === null) return {};
    if (!isObject(value)) {
      this.wrong(`backend_config is ${show(value)}, not a map`);
      return {};
    }
    const bad = Object.entries(value).filter(([, item]) => typeof item !== 'string');
    if (bad.length > 0) this.wrong(`backend_config holds what is no text: ${bad.map(([key]) => key).join(', ')}`);
    return { backend_config: value as Readonly<Record<string, string>> };
  }

  result<T>(build: () => T): Parsed<T> {
    if (this.#mistakes.length === 0) return build() as Parsed<T>;
    const name = typeof this.metadata.name === 'string' ? ` ${this.metadata.name}` : '';
    return { problem: `${this.#kind}${name}: ${this.#mistakes.join('; ')}` };
  }
}
