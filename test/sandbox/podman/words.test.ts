import { expect, test } from '@jest/globals';
import { runWords, securityWords } from '../../../src/sandbox/podman/words.ts';

test('a securityContext becomes exactly what it asks for', () => {
  expect(
    securityWords({
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] },
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      seccompProfile: { type: 'RuntimeDefault' },
      seLinuxOptions: { type: 'spc_t' },
    }),
  ).toEqual([
    '--cap-drop=ALL',
    '--cap-add=NET_ADMIN',
    '--cap-add=NET_RAW',
    '--user=0',
    '--security-opt=no-new-privileges',
    '--read-only',
    '--read-only-tmpfs=false',
    '--security-opt=label=type:spc_t',
  ]);
});

test('as with a kubelet, nothing asked for is no filter of system calls and a root that can be written', () => {
  expect(securityWords({})).toEqual(['--security-opt=seccomp=unconfined']);
  expect(securityWords({ privileged: true, capabilities: { add: ['NET_RAW'] } })).toEqual([
    '--privileged',
    '--security-opt=seccomp=unconfined',
  ]);
});

test('a container runs in its network, with its mounts, environment and arguments; the context of the pod is the default', () => {
  const words = runWords({
    name: 'probe-1',
    container: { name: 'probe', image: 'localhost/x:1', securityContext: { runAsUser: 7 } },
    podSecurity: { runAsUser: 5, runAsGroup: 6 },
    command: ['/bin/a', 'b c'],
    args: ['--d'],
    env: { E: 'f g' },
    mounts: [
      { source: '/srv/h', target: '/i', readOnly: true, kind: 'directory' },
      { source: '/dev/net', target: '/dev/net', readOnly: false, kind: 'directory' },
    ],
    network: '/run/netns/n',
    hostName: 'j',
    cgroupParent: '/k',
  });
  expect(words.slice(0, 1)).toEqual(['run']);
  expect(words).toEqual(
    expect.arrayContaining([
      '--pull=never',
      '--name=probe-1',
      '--network=ns:/run/netns/n',
      '--hostname=j',
      '--cgroup-parent=/k',
      '--user=7:6',
      '--volume=/srv/h:/i:ro,dev,suid,exec,rprivate',
      '--volume=/dev/net:/dev/net:rw,dev,suid,exec,rprivate',
      '--env=E=f g',
      '--entrypoint=["/bin/a","b c"]',
    ]),
  );
  expect(words.slice(-2)).toEqual(['localhost/x:1', '--d']);
});

test('without a command the image says what runs', () => {
  const run = { name: 'a', container: { name: 'a', image: 'b' }, podSecurity: undefined, command: [], args: [] };
  const words = runWords({ ...run, env: {}, mounts: [], network: 'n', hostName: 'h', cgroupParent: 'c' });
  expect(words.filter((word) => word.startsWith('--entrypoint'))).toEqual([]);
  expect(words.at(-1)).toBe('b');
});
