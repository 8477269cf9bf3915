import { describe, expect, test } from '@jest/globals';
import type { EndpointSlice, Service } from '../../../src/kube/objects.ts';
import { lostUdpEndpoints, proxyScript, serviceTargets } from '../../../src/sandbox/node/serviceproxy.ts';

function service(name: string, spec: Partial<Service['spec']>): Service {
  return { metadata: { name, namespace: 'default' }, spec: { clusterIP: '100.66.0.10', ...spec } };
}

function slice(
  of: string,
  endpoints: EndpointSlice['endpoints'],
  ports: EndpointSlice['ports'] = [{ name: '', protocol: 'TCP', port: 8080 }],
): EndpointSlice {
  const metadata = { name: `${of}-1`, namespace: 'default', labels: { 'kubernetes.io/service-name': of } };
  return { metadata, addressType: 'IPv4', endpoints, ...(ports === undefined ? {} : { ports }) };
}

const ready = (address: string) => ({ addresses: [address], conditions: { ready: true } });

describe('serviceTargets', () => {
  test('joins the ports of a Service with those of its slices by name and protocol', () => {
    const ports = [
      { name: 'web', port: 80, targetPort: 'http' },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ];
    const slicePorts = [
      { name: 'web', protocol: 'TCP', port: 8080 },
      { name: 'dns', protocol: 'UDP', port: 5353 },
    ];
    const slices = [slice('a', [ready('10.1.0.2'), ready('10.1.0.1')], slicePorts), slice('b', [ready('10.1.0.9')])];
    expect(serviceTargets([service('a', { ports })], slices)).toEqual([
      {
        name: 'default/a:web',
        address: '100.66.0.10',
        protocol: 'tcp',
        port: 80,
        sticky: false,
        endpoints: [
          { address: '10.1.0.1', port: 8080 },
          { address: '10.1.0.2', port: 8080 },
        ],
      },
      {
        name: 'default/a:dns',
        address: '100.66.0.10',
        protocol: 'udp',
        port: 53,
        sticky: false,
        endpoints: [
          { address: '10.1.0.1', port: 5353 },
          { address: '10.1.0.2', port: 5353 },
        ],
      },
    ]);
  });

  test('takes no headless, external or IPv6 Service, and no slice of another namespace', () => {
    const ports = [{ port: 80 }];
    const none = [
      service('a', { clusterIP: 'None', ports }),
      service('b', { type: 'ExternalName', ports }),
      service('c', { clusterIP: 'fd00::1', ports }),
    ];
    expect(serviceTargets(none, [])).toEqual([]);
    const other = slice('d', [ready('10.1.0.1')]);
    const foreign = { ...other, metadata: { ...other.metadata, namespace: 'elsewhere' } };
    expect(serviceTargets([service('d', { ports })], [foreign])[0]?.endpoints).toEqual([]);
  });

  test('leaves out what is not ready, but keeps serving from those that end when there is nothing else', () => {
    const ending = { addresses: ['10.1.0.3'], conditions: { ready: false, serving: true, terminating: true } };
    const broken = { addresses: ['10.1.0.4'], conditions: { ready: false, serving: false, terminating: false } };
    const unknown = { addresses: ['10.1.0.5'] };
    const of = (endpoints: EndpointSlice['endpoints']) =>
      serviceTargets([service('a', { ports: [{ port: 80 }] })], [slice('a', endpoints)])[0]?.endpoints.map(
        (one) => one.address,
      );
    expect(of([ready('10.1.0.1'), ending, broken])).toEqual(['10.1.0.1']);
    expect(of([ending, broken])).toEqual(['10.1.0.3']);
    expect(of([broken])).toEqual([]);
    expect(of([unknown])).toEqual(['10.1.0.5']);
  });

  test('takes junk addresses and null lists for nothing', () => {
    const junk = { addresses: ['10.1.0.1; drop', 'fd00::1', ''], conditions: { ready: true } };
    const empty = slice('a', null as unknown as EndpointSlice['endpoints']);
    const targets = serviceTargets([service('a', { ports: [{ port: 80 }] })], [slice('a', [junk]), empty]);
    expect(targets[0]?.endpoints).toEqual([]);
  });
});

describe('proxyScript', () => {
  const one = (endpoints: readonly string[], sticky = false) => ({
    name: 'default/a:80',
    address: '100.66.0.10',
    protocol: 'tcp' as const,
    port: 80,
    sticky,
    endpoints: endpoints.map((address) => ({ address, port: 8080 })),
  });

  test('is one transaction that replaces the table', () => {
    expect(proxyScript([], '10.130.0.0/16')).toMatch(
      /^table ip sandbox-proxy\ndelete table ip sandbox-proxy\ntable ip sandbox-proxy \{\n/,
    );
  });

  test('chooses at random, masquerades strangers and those who reach themselves', () => {
    const script = proxyScript([one(['10.130.1.2', '10.130.2.2'])], '10.130.0.0/16');
    expect(script).toMatch(/100\.66\.0\.10 \. tcp \. 80 : goto svc-[0-9a-f]{12} /);
    expect(script).toContain('ip saddr != 10.130.0.0/16 meta mark set meta mark | 0x4000 comment "default/a:80"');
    expect(script).toMatch(/numgen random mod 2 vmap \{ 0 : goto ep-[0-9a-f]{12}, 1 : goto ep-[0-9a-f]{12} \}/);
    expect(script).toContain(
      'ip saddr 10.130.2.2 meta mark set meta mark | 0x4000\n    meta l4proto tcp dnat to 10.130.2.2:8080',
    );
  });

  test('keeps a client with its endpoint when asked to', () => {
    expect(proxyScript([one(['10.130.1.2', '10.130.2.2'], true)], '10.130.0.0/16')).toContain(
      'jhash ip saddr mod 2 vmap',
    );
  });

  test('refuses where nobody serves', () => {
    const script = proxyScript([one([])], '10.130.0.0/16');
    expect(script).toContain('100.66.0.10 . tcp . 80 : goto refuse');
    expect(script).not.toContain('dnat to');
  });
});

test('UDP endpoints that are gone are found, once each', () => {
  const target = (protocol: 'tcp' | 'udp', ...addresses: readonly string[]) => ({
    name: 'x',
    address: '100.66.0.10',
    protocol,
    port: 53,
    sticky: false,
    endpoints: addresses.map((address) => ({ address, port: 53 })),
  });
  const before = [target('udp', '10.1.0.1', '10.1.0.2'), target('tcp', '10.1.0.1', '10.1.0.2')];
  expect(lostUdpEndpoints(before, [target('udp', '10.1.0.2')])).toEqual([
    { service: '100.66.0.10', endpoint: '10.1.0.1' },
  ]);
  expect(lostUdpEndpoints(before, before)).toEqual([]);
});
