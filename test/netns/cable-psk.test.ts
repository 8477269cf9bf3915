import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { PresharedKeys } from '../../src/engine/drivers/dependencies.ts';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { CableTestbed, forever, until } from './cable-testbed.ts';

const OLD = 'dGVzdC1rZXktb2YtdGhlLWNhYmxlLXRlc3RiZWQ=';
const NEW = 'YW5vdGhlci1rZXktb2YtdGhlLWNhYmxlLXRlc3RiZWQ=';
const STAGES: readonly PresharedKeys[] = [
  { used: OLD, accepted: [NEW] },
  { used: NEW, accepted: [OLD] },
  { used: NEW, accepted: [] },
];

let bed: CableTestbed;

beforeEach(() => {
  bed = new CableTestbed(2);
});

afterEach(async () => {
  await bed.close();
});

/** Two drivers whose keys can be changed. */
async function connected(name: 'ipsec' | 'wireguard') {
  const keys: PresharedKeys[] = bed.gateways.map(() => ({ used: OLD, accepted: [] }));
  const drivers = bed.gateways.map(({ dependencies }, index) =>
    createDriver(name, { ...dependencies, keys: () => keys[index]! }),
  );
  for (const driver of drivers) await driver.start(forever);
  const loops = bed.gateways.map((gateway, index) =>
    bed.keepSynced(drivers[index]!, () => bed.desired(gateway, drivers)),
  );
  await until('pods reach each other', () => bed.allReach(), 60_000);
  const setKeys = async (index: number, wanted: PresharedKeys): Promise<void> => {
    keys[index] = wanted;
    await drivers[index]!.sync(await bed.desired(bed.gateways[index]!, drivers), forever);
  };
  return { drivers, loops, setKeys };
}

test.each(['ipsec', 'wireguard'] as const)(
  'the key changes from one to another, gateway by gateway, and no packet is lost (%s)',
  async (name) => {
    const { setKeys } = await connected(name);
    const [a, b] = bed.gateways;
    const pings = [bed.pinger(a!.podNamespace, b!.podAddress), bed.pinger(b!.podNamespace, a!.podAddress)];
    for (const stage of STAGES) {
      for (const index of [0, 1]) {
        await setKeys(index, stage);
        // Traffic in every stage, on a fast machine too.
        for (const ping of pings) await ping.answers(5);
      }
    }
    for (const stop of pings) {
      const { sent, answered } = await stop();
      expect(sent).toBeGreaterThanOrEqual(30);
      // The last one may have been on its way.
      expect(sent - answered).toBeLessThanOrEqual(1);
    }
  },
  120_000,
);

test('gateways in neighbouring stages make new tunnels with each other; with a key that is forgotten they do not', async () => {
  const { drivers, loops, setKeys } = await connected('ipsec');
  await loops[0]!.stop();
  const sync = async (): Promise<void> => drivers[0]!.sync(await bed.desired(bed.gateways[0]!, drivers), forever);
  const reach = async (): Promise<boolean> => {
    // Charon may not be up yet when it is looked for.
    await sync().catch(() => undefined);
    return bed.allReach();
  };
  const [accepts, uses, done] = STAGES;
  for (const [first, second] of [
    [accepts, { used: OLD, accepted: [] }],
    [uses, accepts],
    [done, uses],
  ] as const) {
    await setKeys(1, second!);
    // Its tunnels go with charon; another has to show itself, with the keys of this stage.
    await drivers[0]!.cleanup();
    await setKeys(0, first!).catch(() => undefined);
    await until(`tunnels between ${JSON.stringify([first, second])}`, reach, 60_000);
  }
  await setKeys(1, done!);
  await drivers[0]!.cleanup();
  await setKeys(0, { used: OLD, accepted: [] }).catch(() => undefined);
  const refused = async (): Promise<boolean> => {
    await sync().catch(() => undefined);
    return (await drivers[0]!.connections()).some(({ message }) => message.includes('authentication failed'));
  };
  await until('the peer refuses the forgotten key', refused, 60_000);
  expect(await bed.allReach()).toBe(false);
}, 300_000);
