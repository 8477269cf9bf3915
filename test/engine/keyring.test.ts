import { afterEach, expect, test } from '@jest/globals';
import { createKeyRing, fingerprints } from '../../src/engine/keyring.ts';
import { keysInForce } from '../../src/api/psk.ts';
import type { Gateway } from '../../src/api/types.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';

const AT = { name: 'submariner-ipsec-psk', namespace: 'ours' };
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

test('what was mounted counts until the Secret has been read; then every change of it is told once', async () => {
  const kube = new FakeKube();
  const clock = new FakeClock();
  const secrets = { client: kube, namespace: AT.namespace, clock, logger: silentLogger };
  const ring = createKeyRing({ ...secrets, secretName: AT.name, psk: 'bW91bnRlZA==' });
  let changes = 0;
  ring.onChange(() => (changes += 1));
  const stop = new AbortController();
  const done = ring.run(stop.signal);
  stops.push(async () => {
    stop.abort();
    await done;
  });
  await clock.advance(1000);
  expect(ring.current).toEqual({ used: 'bW91bnRlZA==', accepted: [] });
  const put = async (data: Readonly<Record<string, string>>): Promise<void> => {
    kube.drop(RESOURCES.secrets, AT.name, AT.namespace);
    kube.seed(RESOURCES.secrets, { metadata: AT, data } as never);
    await clock.advance(100);
  };
  await put({ psk: 'bW91bnRlZA==' });
  expect(changes).toBe(0);
  await put({ psk: 'bW91bnRlZA==', 'psk-next': 'bmV4dA==' });
  expect(ring.current).toEqual({ used: 'bW91bnRlZA==', accepted: ['bmV4dA=='] });
  await put({ psk: 'bmV4dA==', 'psk-previous': 'bW91bnRlZA==' });
  expect(ring.current).toEqual({ used: 'bmV4dA==', accepted: ['bW91bnRlZA=='] });
  await put({ psk: '' });
  expect(ring.current.used).toBe('bmV4dA==');
  expect(changes).toBe(2);
});

test('fingerprints are those that commands compare with, and say nothing of the keys', () => {
  const told = fingerprints({ used: 'bW91bnRlZA==', accepted: ['bmV4dA=='] });
  expect(JSON.stringify(told)).toMatch(/^\{"used":"[0-9a-f]{16}","accepted":\["[0-9a-f]{16}"\]\}$/);
  const gateway = (text: string | undefined): Pick<Gateway, 'metadata'> => ({
    metadata: { name: 'g', annotations: text === undefined ? {} : { 'gateway.submariner.io/psk': text } },
  });
  expect(keysInForce(gateway(JSON.stringify(told)))).toEqual(told);
  for (const bad of [undefined, '', '{', '[]', '{"used":1,"accepted":[]}'])
    expect(keysInForce(gateway(bad))).toBeUndefined();
});
