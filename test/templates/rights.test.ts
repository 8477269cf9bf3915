import { expect, test } from '@jest/globals';
import type { PodSpec } from '../../src/kube/objects.ts';
import { objectsOfTemplates } from '../../src/kube/templates.ts';

interface WithPods {
  readonly kind: string;
  readonly spec: PodSpec & { readonly template?: { readonly spec: PodSpec } };
}

/** The pods of a folder of templates. */
function podsOf(folder: string): readonly PodSpec[] {
  const objects = objectsOfTemplates(`templates/${folder}`) as readonly unknown[] as readonly WithPods[];
  return objects
    .filter(({ kind }) => kind === 'DaemonSet' || kind === 'Pod')
    .map(({ spec }) => spec.template?.spec ?? spec);
}

const COMMON = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  runAsUser: 0,
  seccompProfile: { type: 'RuntimeDefault' },
  seLinuxOptions: { type: 'spc_t' },
};

/** What docs/security.md says that the daemons may do on a node; more is a decision, not an edit. */
test.each([
  ['engine', [['NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE']], ['/dev/net', '/proc/sys/net', '/var/lib/submariner']],
  ['routeagent', [['NET_ADMIN', 'NET_RAW']], ['/proc/sys/net', '/var/lib/submariner']],
  [
    'cleanup',
    [
      ['NET_ADMIN', 'NET_RAW'],
      ['NET_ADMIN', 'NET_RAW'],
    ],
    ['/proc/sys/net', '/var/lib'],
  ],
])('%s asks for exactly these rights and folders of its node', (folder, capabilities, hostPaths) => {
  const [pod, ...more] = podsOf(folder);
  expect(more).toEqual([]);
  expect(pod?.containers.map(({ securityContext }) => securityContext)).toEqual(
    capabilities.map((add) => ({ ...COMMON, capabilities: { drop: ['ALL'], add } })),
  );
  expect((pod?.volumes ?? []).flatMap(({ hostPath }) => hostPath?.path ?? []).sort()).toEqual(hostPaths);
  expect(pod).toMatchObject({ hostNetwork: true });
  expect(pod).not.toHaveProperty('hostPID');
});
