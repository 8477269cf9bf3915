import { afterEach, expect, test } from '@jest/globals';
import type { Cable, CableDriver } from '../../../src/engine/drivers/driver.ts';
import { createDriver } from '../../../src/engine/drivers/index.ts';
import { CableTestbed, forever, until, type TestGateway } from '../../netns/cable-testbed.ts';
import { hasLibreswan, Pluto } from './pluto.ts';

let bed: CableTestbed | undefined;
let pluto: Pluto | undefined;
afterEach(async () => {
  await bed?.close();
  bed = undefined;
});

const withLibreswan = hasLibreswan() ? test : test.skip;

type Config = Readonly<Record<string, string>>;

interface Configs {
  readonly own: Config;
  readonly other: Config;
}

interface Pair {
  readonly own: TestGateway;
  readonly other: TestGateway;
  readonly driver: CableDriver;
  readonly theirs: Cable;
}

/** One gateway of ours (the first or second by name), one that libreswan serves; nothing is connected yet. */
async function build(ownIndex: 0 | 1, configs: Configs): Promise<Pair> {
  bed = new CableTestbed(2);
  const [own, other] = [bed.gateways[ownIndex]!, bed.gateways[1 - ownIndex]!];
  const driver = createDriver('ipsec', own.dependencies);
  await driver.start(forever);
  pluto = new Pluto(other);
  await pluto.start();
  return { own, other, driver, theirs: bed.cable(other, own, [configs.other, configs.own]) };
}

function keepOurs({ own, other, driver }: Pair, configs: Configs): void {
  const cable = bed!.cable(own, other, [configs.own, configs.other]);
  const desired = { cables: [cable], guardedCidrs: other.subnets, cniAddress: own.cniAddress, lookup: 'all' } as const;
  bed!.keepSynced(driver, async () => desired);
}

const allPairs = async (driver: CableDriver): Promise<boolean> =>
  (await driver.connections())[0]?.message.startsWith('4 of 4') ?? false;

/** SAs in the kernel of a gateway, both directions. */
const sasOf = (gateway: TestGateway): number => bed!.ip(gateway, 'xfrm', 'state', 'list').split('proto esp').length - 1;

async function connect(pair: Pair, configs: Configs): Promise<void> {
  // The eight words to whack take longer than the peer's five seconds of patience where everything is slow.
  await pluto!.connect(bed!, pair.theirs);
  keepOurs(pair, configs);
  await joined(pair);
}

/** Waits until everything carries; a failure shows what both sides say. */
async function joined({ driver }: Pair): Promise<void> {
  try {
    await until('pods reach each other', () => bed!.allReach(), 20_000);
    await until('all pairs', () => allPairs(driver), 20_000);
  } catch (cause) {
    const seen = JSON.stringify(await driver.connections());
    const log = pluto!.log.split('\n').filter((line) => line.includes('"submariner-cable-'));
    throw new Error([seen, ...log.slice(-30)].join('\n'), { cause });
  }
}

const NONE = { own: {}, other: {} };

withLibreswan.each([
  ['first', 0],
  ['second', 1],
] as const)(
  'libreswan as upstream configures it, ours is the %s by name: all pairs carry, both sides count, nothing in clear',
  async (_which, ownIndex) => {
    const pair = await build(ownIndex, NONE);
    await connect(pair, NONE);
    const stopCapture = await bed!.capture();
    const stop = bed!.pinger(pair.own.podNamespace, pair.other.podAddress);
    const back = bed!.pinger(pair.other.podNamespace, pair.own.serviceAddress);
    await Promise.all([stop.answers(100), back.answers(100)]);
    for (const { answered, sent } of [await stop(), await back()]) expect(answered).toBe(sent);
    const counted = (await pluto!.traffic()).filter(({ inBytes, outBytes }) => inBytes > 0 && outBytes > 0);
    // Nothing goes from a Service address to another.
    expect(counted.map(({ name }) => name).sort()).toEqual(
      ['0-1', '1-0', '1-1'].map((suffix) => `${pair.theirs.name}-${suffix}`),
    );
    await until('no SAs but two a pair', () => sasOf(pair.own) === 8 && sasOf(pair.other) === 8, 20_000);
    const [connection] = await pair.driver.connections();
    expect(connection).toMatchObject({ status: 'connected' });
    expect((await stopCapture()).inner).toBe(0);
  },
  120_000,
);

withLibreswan.each([
  ['ours', { own: { 'preferred-server': 'true' }, other: { 'preferred-server': 'false' } }],
  ['libreswan', { own: { 'preferred-server': 'false' }, other: { 'preferred-server': 'true' } }],
] as const)(
  'with a preferred server, which is %s: every pair has identities of its own and carries',
  async (_which, configs) => {
    const pair = await build(0, configs);
    await connect(pair, configs);
    await until('no SAs but two a pair', () => sasOf(pair.own) === 8 && sasOf(pair.other) === 8, 20_000);
  },
  120_000,
);

withLibreswan(
  'new keys asked for by libreswan cost no packet, and a pluto that was killed is joined again',
  async () => {
    const pair = await build(0, NONE);
    await connect(pair, NONE);
    const spis = (): readonly string[] => bed!.ip(pair.own, 'xfrm', 'state').match(/spi 0x\w+/g) ?? [];
    const former = spis();
    const stop = bed!.pinger(pair.own.podNamespace, pair.other.podAddress);
    await stop.answers(20);
    for (const suffix of ['0-0', '0-1', '1-0', '1-1']) await pluto!.rekey(`${pair.theirs.name}-${suffix}`);
    await until('all keys are new', () => spis().length === 8 && !spis().some((spi) => former.includes(spi)), 20_000);
    await stop.answers(20);
    const pings = await stop();
    expect(pings.answered).toBe(pings.sent);

    await pluto!.kill();
    bed!.ip(pair.other, 'xfrm', 'state', 'flush');
    bed!.ip(pair.other, 'xfrm', 'policy', 'flush');
    await until('it is noticed', async () => !(await allPairs(pair.driver)), 60_000);
    await pluto!.start();
    await pluto!.connect(bed!, pair.theirs);
    await joined(pair);
  },
  240_000,
);
