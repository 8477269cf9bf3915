import { expect, test } from '@jest/globals';
import { Haste } from '../../../src/engine/drivers/haste.ts';
import type { DesiredPeer } from '../../../src/engine/drivers/wireguard-device.ts';
import type { ObservedDevice } from '../../../src/host/wg.ts';

const peer = (publicKey: string, late: boolean): DesiredPeer => ({
  publicKey,
  presharedKey: 'psk',
  endpoint: '192.0.2.1:4500',
  allowedIps: ['10.2.0.0/16'],
  keepaliveSeconds: 10,
  usingNat: false,
  late,
});

function device(...answered: readonly string[]): ObservedDevice {
  const peers = answered.map((publicKey) => ({
    publicKey,
    presharedKey: 'psk',
    endpoint: '192.0.2.1:4500',
    allowedIps: ['10.2.0.0/16'],
    keepaliveSeconds: 10,
    latestHandshake: 1,
    rxBytes: 0,
    txBytes: 0,
  }));
  return { privateKey: 'key', listenPort: 4500, peers };
}

const begins = (haste: Haste, peers: readonly DesiredPeer[], nowMs: number, seen = device()): readonly unknown[] =>
  haste.apply(peers, seen, nowMs).peers.map((one) => one.begins);

test('without haste, and after it, peers are as always', () => {
  const peers = [peer('a', true), peer('b', false)];
  expect(new Haste().apply(peers, device(), 0)).toEqual({ peers });
  expect(new Haste(0).apply(peers, device(), 10_000)).toEqual({ peers });
});

test('one side cannot begin for a second, the other begins anew while it gets no answer', () => {
  const haste = new Haste(0);
  const peers = [peer('a', true), peer('b', false)];
  expect(begins(haste, peers, 0)).toEqual(['not yet', undefined]);
  expect(begins(haste, peers, 200)).toEqual(['not yet', undefined]);
  expect(begins(haste, peers, 300)).toEqual(['not yet', 'again']);
  expect(begins(haste, peers, 400)).toEqual(['not yet', undefined]);
  expect(begins(haste, peers, 1000)).toEqual(['again', undefined]);
  expect(begins(haste, peers, 1300)).toEqual(['not yet', 'again']);
});

test('a peer that has answered is left alone, and nobody looks again for it', () => {
  const haste = new Haste(0);
  const peers = [peer('a', true), peer('b', false)];
  haste.apply(peers, device(), 0);
  expect(haste.apply(peers, device('a', 'b'), 300)).toEqual({ peers });
  expect(haste.apply(peers, device('a'), 400).lookMs).toBe(300);
});
