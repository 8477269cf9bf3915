import { isIP } from 'node:net';
import { type Api, type Change, type Rules } from './api.ts';
import { type Obj, dig, obj, objs, text, texts } from './json.ts';
import { type Cause, badValue, duplicate, required, unsupported } from './status.ts';
import { ipCauses, portCauses } from './validation.ts';

const toNumber = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

/** The n-th address of an IPv4 range; 1 is the API server's own ClusterIP. */
export function nthAddress(cidr: string, n: number): string {
  const at = toNumber(cidr.split('/')[0] ?? '') + n;
  return [24, 16, 8, 0].map((shift) => Math.floor(at / 2 ** shift) % 256).join('.');
}

const hasAddress = (spec: Obj): boolean => spec.type !== 'ExternalName' && spec.clusterIP !== 'None';
const hasNodePorts = ({ type }: Obj): boolean => type === 'NodePort' || type === 'LoadBalancer';

function prepare(_: Api, { next, live }: Change): void {
  const spec = obj(next.spec);
  const before = obj(live?.spec);
  for (const port of objs(spec.ports)) Object.assign(port, { targetPort: port.port, ...port });
  for (const ingress of objs(dig(next, 'status', 'loadBalancer', 'ingress')))
    Object.assign(ingress, { ipMode: 'VIP', ...ingress });
  if (spec.type === 'ExternalName') return;
  const { clusterIP, clusterIPs } = hasAddress(before) ? { ...before, ...spec } : spec;
  if (clusterIP !== undefined) Object.assign(spec, { clusterIP, clusterIPs: clusterIPs ?? [clusterIP] });
  const outside = hasNodePorts(spec) ? { externalTrafficPolicy: 'Cluster' } : {};
  const nodePorts = spec.type === 'LoadBalancer' ? { allocateLoadBalancerNodePorts: true } : {};
  const inside = { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', internalTrafficPolicy: 'Cluster' };
  next.spec = { ...inside, ...outside, ...nodePorts, ...spec };
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

const portsCauses = (ports: readonly Obj[]): Cause[] =>
  ports.flatMap(({ name, port, protocol, targetPort }, index) => {
    const at = `spec.ports[${index}]`;
    const causes = text(name) === '' && ports.length > 1 ? [required(`${at}.name`)] : [];
    causes.push(...portCauses(`${at}.port`, port));
    if (!PROTOCOLS.includes(text(protocol))) causes.push(unsupported(`${at}.protocol`, protocol, PROTOCOLS));
    if (typeof targetPort === 'number') causes.push(...portCauses(`${at}.targetPort`, targetPort));
    const first = ports.findIndex((each) => each.port === port && each.protocol === protocol);
    const printed = { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
    return first < index ? [...causes, duplicate(at, printed)] : causes;
  });

function addressCauses(spec: Obj, before: Obj): Cause[] {
  const ips = texts(spec.clusterIPs);
  const [kept = ips[0]] = texts(before.clusterIPs);
  const field = 'spec.clusterIPs[0]';
  if (ips[0] === undefined || ips[0] === 'None') return [];
  if (kept !== ips[0]) return [badValue(field, ips, 'may not change once set')];
  return isIP(kept) === 6 ? [badValue(field, ips, 'IPv6 is not configured on this cluster')] : ipCauses(field, kept);
}

/** Gives the Service the address it lacks, or says why the one it asks for cannot be had. */
function allocateAddress({ serviceCidr, store }: Api, spec: Obj, dryRun: boolean): Cause[] {
  const taken = new Set(store.list('services').flatMap((other) => texts(obj(other.spec).clusterIPs)));
  const size = 2 ** (32 - Number(serviceCidr.split('/')[1]));
  if (spec.clusterIP === undefined) {
    let n = Math.min(256, Math.max(2, Math.floor(size / 16)));
    while (taken.has(nthAddress(serviceCidr, n))) n += 1;
    const ip = nthAddress(serviceCidr, n);
    Object.assign(spec, { clusterIP: ip, clusterIPs: [ip] });
    return n < size - 1 ? [] : [badValue('spec.clusterIPs', null, 'failed to allocate a serviceIP: range is full')];
  }
  const ip = text(spec.clusterIP);
  const cause = (why: string): Cause[] => [badValue('spec.clusterIPs', [ip], `failed to allocate IP ${ip}: ${why}`)];
  const offset = toNumber(ip) - toNumber(serviceCidr.split('/')[0] ?? '');
  if (offset > 0 && offset < size - 1) return taken.has(ip) ? cause('provided IP is already allocated') : [];
  if (!dryRun) return cause('the provided network does not match the current range');
  return cause(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${serviceCidr}`);
}

const PORT_RANGE = 'provided port is not in the valid range. The range of valid ports is 30000-32767';

function allocateNodePorts({ store }: Api, { metadata, spec }: Change['next']): Cause[] {
  const others = store.list('services').filter((other) => other.metadata.uid !== metadata.uid);
  const taken = new Set(others.flatMap((other) => objs(obj(other.spec).ports).map(({ nodePort }) => nodePort)));
  return objs(obj(spec).ports).flatMap((port, index) => {
    let free = 30_000;
    while (taken.has(free)) free += 1;
    const given = Number((port.nodePort ??= free));
    const why =
      given < 30_000 || given > 32_767 ? PORT_RANGE : taken.has(given) ? 'provided port is already allocated' : '';
    taken.add(given);
    return why === '' ? [] : [badValue(`spec.ports[${index}].nodePort`, given, why)];
  });
}

/** Rules of Services; addresses come from the service CIDR, node ports from 30000-32767. */
export const serviceRules: Rules = {
  putCreates: true,
  prepare,
  validate: (api, { next, live, dryRun }) => {
    const spec = obj(next.spec);
    if (spec.type === 'ExternalName') return text(spec.externalName) === '' ? [required('spec.externalName')] : [];
    const ports = objs(spec.ports);
    const none = ports.length === 0 && hasAddress(spec) ? [required('spec.ports')] : [];
    const causes = [...none, ...portsCauses(ports), ...addressCauses(spec, obj(live?.spec))];
    if (causes.length > 0 || !hasAddress(spec)) return causes;
    const address = dig(live, 'spec', 'clusterIP') === undefined ? allocateAddress(api, spec, dryRun) : [];
    return hasNodePorts(spec) ? [...address, ...allocateNodePorts(api, next)] : address;
  },
};
