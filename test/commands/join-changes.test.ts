import { expect, test } from '@jest/globals';
import type { DaemonSet } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { good, JOIN, world } from './upgrade/daemons.ts';

const AGAIN = [...JOIN, '--yes'];

test('a changed setting: gateways are replaced one at a time, the active one last and after it has handed over', async () => {
  const { harness, west, daemons } = await world();
  const { stdout, stderr } = good(await harness.run(...AGAIN, '--nattport', '4501'));
  expect(stderr).toContain('ceIPSecNATTPort: 4500 -> 4501');
  expect(daemons.replaced).toEqual(['submariner-gateway on west-2', 'submariner-gateway on west-1']);
  expect(daemons.active).toBe('west-2');
  expect(stdout).toContain('DaemonSet submariner-operator/submariner-gateway configured');
  const strategies = west.all<DaemonSet>(RESOURCES.daemonSets).map(({ spec }) => spec.updateStrategy?.type);
  expect(strategies).toEqual(['RollingUpdate', 'RollingUpdate']);
});

test('a gateway that does not start with the new setting: the active one is not touched', async () => {
  const { harness, daemons } = await world();
  daemons.misbehaviour = { trouble: () => 'CrashLoopBackOff' };
  const { exitCode, stderr } = await harness.run(...AGAIN, '--nattport', '4501');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('the new submariner-gateway on west-2 does not work');
  expect(daemons.replaced).not.toContain('submariner-gateway on west-1');
  daemons.misbehaviour = {};
  good(await harness.run(...AGAIN));
  expect(daemons.active).toBe('west-2');
});

test('another driver that is waited with is a setting like others', async () => {
  const { harness, daemons } = await world();
  good(await harness.run(...AGAIN, '--cable-driver', 'vxlan'));
  expect(daemons.replaced).toEqual(['submariner-gateway on west-2', 'submariner-gateway on west-1']);
});

test('another driver at once is no matter of waiting for tunnels: the DaemonSet controller replaces all', async () => {
  const { harness, daemons } = await world();
  good(await harness.run(...AGAIN, '--cable-driver', 'vxlan', '--cable-driver-change', 'now'));
  expect([daemons.replaced, daemons.active]).toEqual([[], 'west-1']);
});

test('what others manage is refused before any pod is replaced', async () => {
  const { harness, west, daemons } = await world();
  const change = { spec: { updateStrategy: { type: 'OnDelete' } } };
  const options = { namespace: 'submariner-operator', patchType: 'merge', fieldManager: 'argocd' } as const;
  await west.patch(RESOURCES.daemonSets, 'submariner-gateway', change, options);
  const { exitCode, stderr } = await harness.run(...AGAIN, '--nattport', '4501');
  expect([exitCode, daemons.replaced]).toEqual([1, []]);
  expect(stderr).toContain('others manage');
});
