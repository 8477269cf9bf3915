import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { calico } from '../../../src/commands/discovery/calico.ts';
import { cilium } from '../../../src/commands/discovery/cilium.ts';
import { combineSources } from '../../../src/commands/discovery/combine.ts';
import { canal, flannel } from '../../../src/commands/discovery/flannel.ts';
import { apiServerFlags, controllerManagerFlags, kubeProxyFlags } from '../../../src/commands/discovery/flags.ts';
import { invalidServiceIp } from '../../../src/commands/discovery/invalidserviceip.ts';
import { k3s } from '../../../src/commands/discovery/k3s.ts';
import { kindnet } from '../../../src/commands/discovery/kindnet.ts';
import { kubeadmConfig } from '../../../src/commands/discovery/kubeadm.ts';
import { kubeProxyConfig } from '../../../src/commands/discovery/kubeproxy.ts';
import type { ClusterObjects, DiscoverySource, Finding } from '../../../src/commands/discovery/objects.ts';
import { openshift } from '../../../src/commands/discovery/openshift.ts';
import { ovnKubernetes } from '../../../src/commands/discovery/ovnkubernetes.ts';
import { nodePodCidrs } from '../../../src/commands/discovery/podcidrs.ts';
import { serviceCidrObjects } from '../../../src/commands/discovery/servicecidrs.ts';
import { weave } from '../../../src/commands/discovery/weave.ts';

const SOURCES: Readonly<Record<string, DiscoverySource>> = {
  apiserverflags: apiServerFlags,
  calico,
  canal,
  cilium,
  controllermanagerflags: controllerManagerFlags,
  flannel,
  invalidserviceip: invalidServiceIp,
  k3s,
  kindnet,
  kubeadm: kubeadmConfig,
  kubeproxyconfig: kubeProxyConfig,
  kubeproxyflags: kubeProxyFlags,
  openshift,
  ovnkubernetes: ovnKubernetes,
  podcidrs: nodePodCidrs,
  servicecidrs: serviceCidrObjects,
  weave,
};

const NO_OBJECTS: ClusterObjects = {
  nodes: [],
  pods: [],
  daemonSets: [],
  configMaps: [],
  serviceCidrs: [],
  calicoPools: [],
  ciliumNodes: [],
  openshiftNetwork: undefined,
  invalidServiceMessage: undefined,
  problems: [],
};

interface Case {
  readonly title: string;
  readonly objects: Partial<ClusterObjects>;
  readonly expected: Finding;
}

const FIXTURES = 'test/fixtures/discovery';
const casesOf = (name: string): readonly Case[] =>
  JSON.parse(readFileSync(path.join(FIXTURES, `${name}.json`), 'utf8')) as readonly Case[];
const objectsOf = (name: string, index = 0): ClusterObjects => ({ ...NO_OBJECTS, ...casesOf(name)[index]!.objects });

test('every source has a fixture and every fixture a source', () => {
  const names = readdirSync(FIXTURES).map((file) => path.basename(file, '.json'));
  expect(names.sort()).toEqual(Object.keys(SOURCES).sort());
});

describe.each(Object.entries(SOURCES))('%s', (name, source) => {
  test.each(casesOf(name).map((entry) => [entry.title, entry] as const))('%s', (_title, { objects, expected }) => {
    expect(source({ ...NO_OBJECTS, ...objects })).toEqual(expected);
  });

  test('finds nothing in a cluster without objects', () => {
    const { pods, services } = source(NO_OBJECTS);
    expect([...pods, ...services]).toEqual([]);
  });
});

describe('combined', () => {
  test('the best source wins per family, and all of its CIDRs are kept', () => {
    const found = combineSources({ ...objectsOf('kubeadm'), ...casesOf('servicecidrs')[0]!.objects });
    expect(found.serviceCidrs.map(({ cidr }) => cidr)).toEqual(['10.96.0.0/16', '10.97.0.0/24', 'fd00:10:96::/112']);
    expect(found.podCidrs.map(({ cidr }) => cidr)).toEqual(['10.244.0.0/16', 'fd00:10:244::/56']);
    expect(found.plugin).toBe('generic');
    expect(found.problems).toEqual([]);
  });

  test('a family that the best source lacks comes from the next one', () => {
    const found = combineSources({ ...objectsOf('kubeadm'), ...casesOf('kindnet')[0]!.objects });
    expect(found.podCidrs).toEqual([
      { cidr: '10.244.0.0/16', source: 'DaemonSet kindnet POD_SUBNET' },
      { cidr: 'fd00:10:244::/56', source: 'ConfigMap kube-system/kubeadm-config' },
    ]);
    expect(found.plugin).toBe('kindnet');
  });

  test('a source that contradicts the chosen one is named', () => {
    const found = combineSources({ ...objectsOf('kubeadm'), ...casesOf('calico')[0]!.objects });
    expect(found.podCidrs[0]?.cidr).toBe('192.168.0.0/16');
    expect(found.problems.join('\n')).toMatch(
      /kubeadm-config says the pod CIDR is 10\.244\.0\.0\/16; used is 192\.168\.0\.0\/16/,
    );
  });

  test('pod CIDRs known only per node come with a warning', () => {
    const found = combineSources(objectsOf('podcidrs'));
    expect(found.problems.join('\n')).toMatch(/--clustercidr/);
  });

  test('a refusal text is never taken for a range it does not name', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { services } = invalidServiceIp({ ...NO_OBJECTS, invalidServiceMessage: text });
        return services.every(({ cidr }) => text.includes(cidr.split('/')[1] ?? ''));
      }),
    );
  });

  test('junk in every field of foreign objects is survived', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), (value, text) => {
        const metadata = { name: 'x', namespace: 'kube-system' };
        const spec = { cidrs: value, cidr: value, ipam: value, clusterNetwork: value, serviceNetwork: value } as Record<
          string,
          unknown
        >;
        const configMaps = ['kubeadm-config', 'kube-proxy', 'kube-flannel-cfg', 'cilium-config', 'ovn-config'].map(
          (name) => ({
            metadata: { ...metadata, name },
            data: {
              ClusterConfiguration: text,
              'config.conf': text,
              'net-conf.json': text,
              net_cidr: text,
              'cluster-pool-ipv4-cidr': text,
            },
          }),
        );
        const object = { metadata, spec };
        combineSources({
          ...NO_OBJECTS,
          configMaps,
          serviceCidrs: [object],
          calicoPools: [object],
          ciliumNodes: [object],
          openshiftNetwork: object,
        });
      }),
    );
  });
});
