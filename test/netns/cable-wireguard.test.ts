import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createDriver } from '../../src/engine/drivers/index.ts';
import type { CableDriver, DesiredCables } from '../../src/engine/drivers/driver.ts';
import { createRunner, type CommandRunner } from '../../src/host/command.ts';
import { findDaemon } from '../../src/host/daemon.ts';
import { generatePrivateKey, publicKeyOf } from '../../src/host/wg.ts';
import { KernelWireguard } from '../../src/host/wireguard-kernel.ts';
import { WireguardGo, type WireguardDevice } from '../../src/host/wireguardgo.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { CableTestbed, forever, until, type TestGateway } from './cable-testbed.ts';
import { kernelFacts } from './kernel-facts.ts';

let bed: CableTestbed;
const drivers: CableDriver[] = [];

function build(count: number): readonly TestGateway[] {
  bed = new CableTestbed(count);
  for (const gateway of bed.gateways) drivers.push(createDriver('wireguard', gateway.dependencies));
  return bed.gateways;
}

beforeEach(() => {
  drivers.length = 0;
});

afterEach(async () => {
  await bed.close();
});

const folderOf = (gateway: TestGateway): string => path.join(gateway.dependencies.stateDir, 'wireguard');

function deviceOf(gateway: TestGateway): WireguardDevice {
  if (kernelFacts().wireguard) return new KernelWireguard(gateway.runner, 'submariner', folderOf(gateway));
  return new WireguardGo({ runner: gateway.runner, folder: folderOf(gateway), link: 'submariner' });
}

/** Handshake times of all peers: they change when a peer is set up anew. */
async function handshakes(gateway: TestGateway): Promise<string> {
  const { peers } = await deviceOf(gateway).observe();
  return peers
    .map(({ publicKey, latestHandshake }) => `${publicKey} ${latestHandshake}`)
    .sort()
    .join('\n');
}

async function join(desired?: (gateway: TestGateway) => Promise<DesiredCables>) {
  const wanted = desired ?? ((gateway: TestGateway) => bed.desired(gateway, drivers));
  for (const driver of drivers) await driver.start(forever);
  const loops = bed.gateways.map((gateway, index) => bed.keepSynced(drivers[index]!, () => wanted(gateway)));
  for (const driver of drivers) {
    await until('all cables are connected', async () => {
      const seen = await driver.connections();
      return seen.length === bed.gateways.length - 1 && seen.every(({ status }) => status === 'connected');
    });
  }
  await until('everything is made', () => loops.every((loop) => loop.synced()));
  return loops;
}

test('three gateways carry everything encrypted; the WAN never sees an inner packet, before, during and after', async () => {
  const gateways = build(3);
  const [a, b] = gateways;
  for (const [index, gateway] of gateways.entries()) {
    const { guardedCidrs, cniAddress } = await bed.desired(gateway, drivers);
    await drivers[index]!.start(forever);
    await drivers[index]!.sync({ cables: [], guardedCidrs, cniAddress, lookup: 'all' }, forever);
  }
  const stopCapture = await bed.capture();
  const stopPings = [bed.pinger(a!.podNamespace, b!.podAddress), bed.pinger(b!.podNamespace, a!.serviceAddress)];
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  const loops = await join();
  await until('all pods reach each other', () => bed.allReach());
  const [cable] = await drivers[0]!.connections();
  expect(cable).toMatchObject({ cableName: 'submariner-cable-c2-198-18-0-2', status: 'connected' });
  expect(Math.min(cable!.rxBytes!, cable!.txBytes!)).toBeGreaterThan(0);
  expect(bed.ip(a!, 'route', 'get', b!.podAddress)).toContain(`dev submariner table 100 src ${a!.cniAddress}`);
  expect(bed.ip(a!, '-o', 'link', 'show', 'submariner')).toContain('mtu 1420');
  for (const loop of loops) await loop.stop();
  for (const [index, gateway] of gateways.entries()) {
    const { guardedCidrs, cniAddress } = await bed.desired(gateway, drivers);
    await drivers[index]!.sync({ cables: [], guardedCidrs, cniAddress, lookup: 'all' }, forever);
  }
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  for (const stop of stopPings) expect((await stop()).answered).toBeGreaterThan(0);
  const captured = await stopCapture();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(50);

  for (const driver of drivers) await driver.cleanup();
  const stopControl = await bed.capture();
  await bed.ping(a!.podNamespace, b!.podAddress);
  expect((await stopControl()).inner).toBeGreaterThan(0);
}, 60_000);

test('a new process adopts wireguard-go with its key and disturbs nothing; a cluster that goes takes only its own', async () => {
  const [a, b, c] = build(3);
  bed.addForeign(a!);
  const before = bed.snapshot(a!);
  const loops = await join();
  const state = bed.snapshot(a!);
  const [daemon, seen, config] = [findDaemon(folderOf(a!)), await handshakes(a!), await drivers[0]!.backendConfig()];
  expect(statSync(path.join(folderOf(a!), 'private.key')).mode & 0o777).toBe(0o600);
  await loops[0]!.stop();
  const stopPings = bed.pinger(a!.podNamespace, b!.podAddress);

  const again = createDriver('wireguard', a!.dependencies);
  await again.start(forever);
  await again.sync(await bed.desired(a!, drivers), forever);
  expect(findDaemon(folderOf(a!))).toEqual(daemon);
  expect(await again.backendConfig()).toEqual(config);
  expect(await handshakes(a!)).toBe(seen);
  expect(bed.snapshot(a!)).toBe(state);

  await loops[2]!.stop();
  await drivers[2]!.sync(await bed.desired(c!, drivers, [b!]), forever);
  await again.sync(await bed.desired(a!, drivers, [b!]), forever);
  const { publicKey } = await drivers[1]!.backendConfig();
  expect((await deviceOf(a!).observe()).peers.map((peer) => peer.publicKey)).toEqual([publicKey]);
  expect(seen).toContain(await handshakes(a!));
  const pings = await stopPings();
  expect(pings.answered).toBeGreaterThanOrEqual(pings.sent - 1);

  await createDriver('wireguard', a!.dependencies).cleanup();
  expect(findDaemon(folderOf(a!))).toBeUndefined();
  expect(bed.snapshot(a!)).toBe(before);
}, 60_000);

test('nobody is a peer before the guard is there, nor when it cannot be', async () => {
  const [a] = build(2);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let writes = 0;
  const { runner } = a!.dependencies;
  const slow: CommandRunner = {
    run: async (file, args, options) => {
      if (file === 'nft' && args[0] === '-f') {
        writes += 1;
        await released;
        if (writes === 1) throw new Error('nft is out of order');
      }
      return runner.run(file, args, options);
    },
  };
  const driver = createDriver('wireguard', { ...a!.dependencies, runner: slow });
  await driver.start(forever);
  const peers = async (): Promise<number> => (await deviceOf(a!).observe()).peers.length;
  const synced = driver.sync(await bed.desired(a!, drivers), forever);
  await until('the guard is being written', () => writes > 0);
  for (let look = 0; look < 50; look += 1) expect(await peers()).toBe(0);
  release();
  await expect(synced).rejects.toThrow('nft is out of order');
  expect(await peers()).toBe(0);
  await driver.sync(await bed.desired(a!, drivers), forever);
  expect(await peers()).toBe(1);
  expect(bed.nft(a!, 'list', 'ruleset')).toContain('never in clear');
}, 60_000);

const userlandOnly = kernelFacts().wireguard ? test.skip : test;

userlandOnly(
  'a killed wireguard-go is noticed and started again, and nothing leaves in clear meanwhile',
  async () => {
    const [a, b] = build(2);
    await join();
    const daemon = findDaemon(folderOf(a!))!;
    const stopCapture = await bed.capture();
    const stopPings = bed.pinger(a!.podNamespace, b!.podAddress);
    process.kill(daemon.pid, 'SIGKILL');
    await until('another wireguard-go runs', () => (findDaemon(folderOf(a!))?.pid ?? daemon.pid) !== daemon.pid);
    await until('pods reach each other', () => bed.allReach(), 20_000);
    await stopPings();
    const captured = await stopCapture();
    expect(captured.inner).toBe(0);
    expect(captured.tunnel).toBeGreaterThan(0);
  },
  60_000,
);

test('a peer without a key is named; another pre-shared key gives no handshake; a taken port is named', async () => {
  const [a, b] = build(2);
  const other = createDriver('wireguard', { ...b!.dependencies, psk: 'another' });
  drivers[1] = other;
  const holder = spawn('ip', ['netns', 'exec', a!.namespace, 'socat', '-u', 'UDP-LISTEN:4500', 'STDOUT'], {
    stdio: 'ignore',
  });
  try {
    await until('the port is taken', async () =>
      (await a!.runner.run('ss', ['-Huln', 'sport = :4500'])).stdout.includes(':4500'),
    );
    await expect(drivers[0]!.sync(await bed.desired(a!, drivers), forever)).rejects.toThrow(
      /UDP port 4500 of this node is taken by socat/,
    );
  } finally {
    const ended = new Promise((resolve) => holder.once('close', resolve));
    holder.kill();
    await ended;
  }
  const stopCapture = await bed.capture();
  const keyless = { ...bed.cable(a!, b!), name: 'submariner-cable-c9-192-0-2-9' };
  const { cables, ...rest } = await bed.desired(a!, drivers);
  await drivers[0]!.sync({ ...rest, cables: [...cables, keyless] }, forever);
  await other.sync(await bed.desired(b!, drivers), forever);
  const seen = await drivers[0]!.connections();
  expect(seen.map(({ status, message }) => `${status}: ${message}`)).toEqual([
    'connecting: no handshake with 198.18.0.2:4500 yet',
    'error: the Endpoint of cluster c2 publishes no WireGuard key',
  ]);
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  const captured = await stopCapture();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(0);
}, 60_000);

userlandOnly(
  'the words for the program wg, as a kernel link needs them, do the same as the userspace API',
  async () => {
    const [a] = build(2);
    await drivers[0]!.start(forever);
    const { pid } = findDaemon(folderOf(a!))!;
    const plain = createRunner({ logger: silentLogger });
    const inside: CommandRunner = {
      run: (file, args, options) => plain.run('nsenter', ['-t', String(pid), '-m', '-n', file, ...args], options),
    };
    const device = new KernelWireguard(inside, 'submariner', path.join(folderOf(a!), 'keys'));
    const [privateKey, peerKey, presharedKey] = [
      generatePrivateKey(),
      publicKeyOf(generatePrivateKey()),
      generatePrivateKey(),
    ];
    const peer = {
      publicKey: peerKey,
      presharedKey,
      endpoint: '198.18.0.2:4500',
      allowedIps: ['10.9.0.0/16', '10.8.0.0/16'],
      keepaliveSeconds: 10,
    };
    await device.apply({ privateKey, listenPort: 4501, setPeers: [peer], removePeers: [] });
    const viaWg = await device.observe();
    expect(viaWg).toMatchObject({ privateKey, listenPort: 4501, peers: [{ ...peer, allowedIps: expect.any(Array) }] });
    expect(viaWg.peers[0]!.allowedIps.toSorted()).toEqual(['10.8.0.0/16', '10.9.0.0/16']);
    expect({ ...(await deviceOf(a!).observe()).peers[0], txBytes: 0 }).toEqual({ ...viaWg.peers[0], txBytes: 0 });
    await device.apply({ privateKey: undefined, listenPort: undefined, setPeers: [], removePeers: [peerKey] });
    expect((await device.observe()).peers).toEqual([]);
  },
  60_000,
);
