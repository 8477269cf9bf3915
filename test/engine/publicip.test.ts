import { expect, test } from '@jest/globals';
import { resolvePublicIp, type PublicIpSources } from '../../src/engine/publicip.ts';
import type { Service } from '../../src/kube/objects.ts';

const services: Readonly<Record<string, Service>> = {
  ready: { metadata: {}, spec: {}, status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } } },
  named: { metadata: {}, spec: {}, status: { loadBalancer: { ingress: [{ hostname: 'lb.example' }] } } },
  waiting: { metadata: {}, spec: {}, status: { loadBalancer: {} } },
};
const sources: PublicIpSources = {
  findService: async (name) => services[name],
  lookup: async (host) => {
    if (host !== 'lb.example') throw new Error(`${host} does not resolve`);
    return ['203.0.113.9', '203.0.113.10', 'fd00::1'];
  },
};

test.each([
  [undefined, '', false],
  ['', '', false],
  ['203.0.113.1', '203.0.113.1', false],
  ['ipv4:203.0.113.2', '203.0.113.2', false],
  ['lb:ready', '203.0.113.7', true],
  ['lb:named', '203.0.113.10', true],
  ['dns:lb.example', '203.0.113.10', false],
  ['lb:waiting, ipv4:203.0.113.3', '203.0.113.3', false],
])('%s is %j', async (resolver, ip, loadBalancer) => {
  expect(await resolvePublicIp(resolver, sources)).toEqual({ ip, loadBalancer });
});

test.each([
  ['lb:waiting', 'no public address: lb:waiting: the load balancer has no address yet'],
  ['lb:none', 'no public address: lb:none: no such Service'],
  ['api:ifconfig.example', /asking an outside host is not supported/],
  ['dns:nowhere.example', /nowhere\.example does not resolve/],
  ['ipv4:fd00::1', /is not METHOD:VALUE/],
  ['ipv4:300.1.1.1', /is not an IPv4 address/],
  ['carrier:pigeon', /method carrier is not known/],
  ['lb:none,ipv4:x', /lb:none: .*; ipv4:x: /],
])('%s gives nothing and says why', async (resolver, problem) => {
  const found = await resolvePublicIp(resolver, sources);
  expect(found).toMatchObject({ ip: '', loadBalancer: false });
  expect(found.problem).toMatch(problem);
});
