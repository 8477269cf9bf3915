import { isIP } from 'node:net';
import { type Api, type Change, type Rules } from './api.ts';
import { type Obj, obj, objs, text, texts } from './json.ts';
import { type Cause, badValue, duplicate, required, unsupported } from './status.ts';
import { ipCauses, portCauses } from './validation.ts';

const toNumber = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const toAddress = (n: number): string => [24, 16, 8, 0].map((shift) => Math.floor(n / 2 ** shift) % 256).join('.');

/** First address and number of addresses of an IPv4 range. */
function range(cidr: string): { base: number; size: number } {
  const [address = '0.0.0.0', bits = '32'] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return { base: Math.floor(toNumber(address) / size) * size, size };
}

/** The n-th address of an IPv4 range; 1 is the API server's own ClusterIP. */
export const nthAddress = (cidr: string, n: number): string => toAddress(range(cidr).base + n);

const isHeadless = (spec: Obj): boolean => spec['clusterIP'] === 'None';
const hasAddress = (spec: Obj): boolean => spec['type'] !== 'ExternalName' && !isHeadless(spec);
const wantsNodePorts = (spec: Obj): boolean =>
  spec['type'] === 'NodePort' || (spec['type'] === 'LoadBalancer' && spec['allocateLoadBalancerNodePorts'] !== false);

function prepare(_: Api, { next, live }: Change): void {
  const spec = obj(next['spec']);
  const before = obj(live?.['spec']);
  const external = spec['type'] === 'ExternalName';
  if (!external && hasAddress(before)) {
    for (const key of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) spec[key] ??= before[key];
  }
  const first = texts(spec['clusterIPs'])[0];
  if (spec['clusterIP'] === undefined && first !== undefined) spec['clusterIP'] = first;
  if (text(spec['clusterIP']) !== '') spec['clusterIPs'] ??= [spec['clusterIP']];
  for (const port of objs(spec['ports'])) {
    port['targetPort'] ??= port['port'];
    const kept = objs(before['ports']).find(
      (each) => each['port'] === port['port'] && each['protocol'] === port['protocol'],
    );
    if (wantsNodePorts(spec) && kept?.['nodePort'] !== undefined) port['nodePort'] ??= kept['nodePort'];
  }
  if (external) return;
  spec['ipFamilies'] ??= ['IPv4'];
  spec['ipFamilyPolicy'] ??= 'SingleStack';
  spec['internalTrafficPolicy'] ??= 'Cluster';
  if (spec['type'] !== 'ClusterIP') spec['externalTrafficPolicy'] ??= 'Cluster';
  if (spec['type'] === 'LoadBalancer') spec['allocateLoadBalancerNodePorts'] ??= true;
  for (const ingress of objs(obj(obj(next['status'])['loadBalancer'])['ingress']))
    if (ingress['ip'] !== undefined) ingress['ipMode'] ??= 'VIP';
}

function portsCauses(spec: Obj): Cause[] {
  const ports = objs(spec['ports']);
  const causes: Cause[] = ports.length === 0 && !isHeadless(spec) ? [required('spec.ports')] : [];
  const seen = new Set<string>();
  const names = new Set<string>();
  ports.forEach((port, index) => {
    const at = `spec.ports[${index}]`;
    const name = text(port['name']);
    if (name === '' && ports.length > 1) causes.push(required(`${at}.name`));
    if (name !== '' && names.has(name)) causes.push(duplicate(`${at}.name`, name));
    names.add(name);
    causes.push(...portCauses(`${at}.port`, port['port']));
    const protocols = ['SCTP', 'TCP', 'UDP'];
    if (!protocols.includes(text(port['protocol'])))
      causes.push(unsupported(`${at}.protocol`, port['protocol'], protocols));
    if (typeof port['targetPort'] === 'number') causes.push(...portCauses(`${at}.targetPort`, port['targetPort']));
    const key = `${text(port['protocol'])}/${String(port['port'])}`;
    const printed = {
      Name: '',
      Protocol: port['protocol'],
      AppProtocol: null,
      Port: port['port'],
      TargetPort: 0,
      NodePort: 0,
    };
    if (seen.has(key)) causes.push(duplicate(at, printed));
    seen.add(key);
  });
  return causes;
}

function addressCauses(spec: Obj, before: Obj): Cause[] {
  const ips = texts(spec['clusterIPs']);
  const [first = ''] = ips;
  const field = 'spec.clusterIPs[0]';
  if (first === '' || first === 'None') return [];
  const kept = texts(before['clusterIPs'])[0];
  if (kept !== undefined && kept !== first && hasAddress(before))
    return [badValue(field, ips, 'may not change once set')];
  if (isIP(first) === 6) return [badValue(field, ips, 'IPv6 is not configured on this cluster')];
  return ipCauses(field, first);
}

/** Gives the Service the addresses and node ports it lacks, or says why what it asks for cannot be had. */
function allocate(api: Api, { next, live, dryRun }: Change): Cause[] {
  const spec = obj(next['spec']);
  const others = api.store
    .list('services')
    .filter(({ metadata }) => metadata.uid !== live?.metadata.uid)
    .map((each) => obj(each['spec']));
  if (!hasAddress(spec)) return [];
  const taken = new Set(others.flatMap((other) => texts(other['clusterIPs'])));
  const { base, size } = range(api.serviceCidr);
  if (text(spec['clusterIP']) === '') {
    let n = Math.min(256, Math.max(1, Math.floor(size / 16)));
    while (taken.has(toAddress(base + n)) && n < size - 1) n += 1;
    if (n >= size - 1) return [badValue('spec.clusterIPs', null, 'failed to allocate a serviceIP: range is full')];
    Object.assign(spec, { clusterIP: toAddress(base + n), clusterIPs: [toAddress(base + n)] });
  } else if (obj(live?.['spec'])['clusterIP'] !== spec['clusterIP']) {
    const ip = text(spec['clusterIP']);
    const cause = (why: string): Cause[] => [badValue('spec.clusterIPs', [ip], `failed to allocate IP ${ip}: ${why}`)];
    const inside = toNumber(ip) > base && toNumber(ip) < base + size - 1;
    if (!inside && !dryRun) return cause('the provided network does not match the current range');
    if (!inside)
      return cause(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${api.serviceCidr}`);
    if (taken.has(ip)) return cause('provided IP is already allocated');
  }
  return wantsNodePorts(spec) ? allocateNodePorts(spec, others) : [];
}

function allocateNodePorts(spec: Obj, others: readonly Obj[]): Cause[] {
  const taken = new Set(others.flatMap((other) => objs(other['ports']).map((port) => port['nodePort'])));
  const causes: Cause[] = [];
  let free = 30_000;
  objs(spec['ports']).forEach((port, index) => {
    const field = `spec.ports[${index}].nodePort`;
    while (taken.has(free)) free += 1;
    port['nodePort'] ??= free;
    const given = Number(port['nodePort']);
    if (given < 30_000 || given > 32_767)
      causes.push(
        badValue(field, given, 'provided port is not in the valid range. The range of valid ports is 30000-32767'),
      );
    else if (taken.has(given)) causes.push(badValue(field, given, 'provided port is already allocated'));
    taken.add(given);
  });
  return causes;
}

/** Rules of Services; addresses come from the service CIDR, node ports from 30000-32767. */
export const serviceRules: Rules = {
  putCreates: true,
  prepare,
  validate: (api, change) => {
    const spec = obj(change.next['spec']);
    const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
    if (!types.includes(text(spec['type']))) return [unsupported('spec.type', spec['type'], types)];
    if (spec['type'] === 'ExternalName')
      return text(spec['externalName']) === '' ? [required('spec.externalName')] : [];
    const causes = [...portsCauses(spec), ...addressCauses(spec, obj(change.live?.['spec']))];
    return causes.length > 0 ? causes : allocate(api, change);
  },
};
