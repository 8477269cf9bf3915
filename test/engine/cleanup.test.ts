import { expect, test } from '@jest/globals';
import { staysGateway } from '../../src/engine/cleanup.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeKube } from '../fakes/kube.ts';

const stays = (kube: FakeKube): Promise<boolean> =>
  staysGateway(kube, 'n1', silentLogger, new AbortController().signal);
const node = (labels: Readonly<Record<string, string>>): KubeObject => ({ metadata: { name: 'n1', labels } });

test.each([
  ['with the gateway label', { 'submariner.io/gateway': 'true' }, true],
  ['without the gateway label', {}, false],
  ['with the label set to false', { 'submariner.io/gateway': 'false' }, false],
])('a node %s', async (_what, labels, expected) => {
  const kube = new FakeKube();
  kube.seed(RESOURCES.nodes, node(labels));
  expect(await stays(kube)).toBe(expected);
});

test('a node that is gone is no gateway; one that cannot be asked for stays one', async () => {
  const kube = new FakeKube();
  expect(await stays(kube)).toBe(false);
  kube.down = true;
  expect(await stays(kube)).toBe(true);
});
