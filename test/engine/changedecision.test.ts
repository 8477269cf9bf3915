import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  decideDriver,
  type ChangeDecision,
  type ChangeInput,
  type ClusterDriver,
} from '../../src/engine/changedecision.ts';

const OLD = 'libreswan';
const NEW = 'wireguard';

const announcing = (clusterId: string, agreed: boolean, backend = OLD): ClusterDriver => ({
  clusterId,
  backend,
  change: { backend: NEW, agreed },
});
const silent = (clusterId: string, backend = OLD): ClusterDriver => ({ clusterId, backend });

function decide(over: Partial<ChangeInput>): ChangeDecision {
  return decideDriver({
    wanted: NEW,
    inUse: OLD,
    mode: 'together',
    leader: true,
    announces: true,
    own: { backend: OLD },
    gateways: [],
    steady: true,
    prepared: true,
    others: [],
    ...over,
  });
}

const agreedSelf = { backend: OLD, change: { backend: NEW, agreed: true } };

describe('when a gateway changes its driver', () => {
  test.each<[string, Partial<ChangeInput>, Partial<ChangeDecision>]>([
    ['nothing is to be changed', { wanted: OLD }, { use: OLD, announce: undefined }],
    ['a new cluster has nothing to lose', { own: undefined, others: [silent('west')] }, { use: NEW }],
    ['the cluster has changed already', { own: { backend: NEW }, others: [silent('west')] }, { use: NEW }],
    [
      'another cluster has not been joined with it',
      { others: [silent('west')] },
      { use: OLD, announce: { backend: NEW, agreed: false }, awaitedClusters: ['west'] },
    ],
    [
      'a gateway of this cluster still runs with the former configuration',
      { gateways: [{ hostname: 'gw-2', backend: OLD }], others: [announcing('west', true)], own: agreedSelf },
      { use: NEW },
    ],
    [
      'such a gateway, before anything was announced',
      { gateways: [{ hostname: 'gw-2', backend: OLD }], others: [announcing('west', true)] },
      { use: OLD, announce: undefined, awaitedGateways: ['gw-2'] },
    ],
    [
      'another gateway of this cluster wants it too',
      { gateways: [{ hostname: 'gw-2', backend: OLD, next: NEW }] },
      { use: OLD, announce: { backend: NEW, agreed: true }, awaitedGateways: [] },
    ],
    [
      'a gateway has just gone',
      { steady: false, others: [announcing('west', true)] },
      { use: OLD, announce: undefined },
    ],
    [
      'a gateway has just gone, but there is nobody to lose',
      { steady: false, others: [silent('west', NEW)] },
      { use: OLD, announce: { backend: NEW, agreed: true } },
    ],
    ['the wanted driver does not work here', { prepared: false }, { use: OLD, announce: undefined }],
    ['the gateways are not known yet', { gateways: undefined }, { use: OLD, announce: undefined }],
    [
      'the others announce it, but do not know of this cluster',
      { own: agreedSelf, others: [announcing('west', false)] },
      { use: OLD, announce: { backend: NEW, agreed: true }, awaitedClusters: [] },
    ],
    ['all know of each other', { own: agreedSelf, others: [announcing('west', true)] }, { use: NEW }],
    ['the last ones have changed meanwhile', { own: agreedSelf, others: [silent('west', NEW)] }, { use: NEW }],
    [
      'who uses a third driver is not connected',
      { own: agreedSelf, others: [silent('west', 'vxlan'), announcing('north', true)] },
      { use: NEW },
    ],
    [
      'another change is announced elsewhere',
      { own: agreedSelf, others: [{ clusterId: 'west', backend: OLD, change: { backend: 'vxlan', agreed: true } }] },
      { use: OLD, announce: { backend: NEW, agreed: false }, awaitedClusters: ['west'] },
    ],
    [
      'a cluster run by another program changes first',
      { own: agreedSelf, others: [silent('upstream', NEW), announcing('west', true)] },
      { use: NEW },
    ],
    [
      'one that waits for nobody still waits for its own gateways',
      { mode: 'now', gateways: [{ hostname: 'gw-2', backend: OLD }], others: [silent('west')] },
      { use: OLD, announce: undefined, awaitedGateways: ['gw-2'], awaitedClusters: [] },
    ],
    ['one that waits for nobody', { mode: 'now', own: agreedSelf, others: [silent('west')] }, { use: NEW }],
    ['one whose driver has no room for an announcement', { announces: false }, { use: NEW }],
    ['its standby follows its Endpoint', { announces: false, leader: false }, { use: OLD }],
  ])('%s', (_name, input, expected) => {
    expect(decide(input)).toMatchObject(expected);
  });

  test('what is waited for is told in order', () => {
    const gateways = ['gw-3', 'gw-2'].map((hostname) => ({ hostname, backend: OLD }));
    expect(decide({ gateways, others: [silent('west'), silent('north')] })).toMatchObject({
      awaitedGateways: ['gw-2', 'gw-3'],
      awaitedClusters: ['north', 'west'],
    });
  });
});

/** Clusters that hear of each other in any order: what each has published, and what each has seen of the others. */
class Model {
  readonly count: number;
  readonly wanted: string[];
  readonly use: string[];
  readonly published: ClusterDriver[];
  readonly seen: ClusterDriver[][];

  constructor(count: number) {
    this.count = count;
    const indexes = Array.from({ length: count }, (_, index) => index);
    this.wanted = indexes.map(() => OLD);
    this.use = indexes.map(() => OLD);
    this.published = indexes.map((index) => silent(`c${index}`));
    this.seen = indexes.map(() => [...this.published]);
  }

  /** A cluster looks and publishes; it sees its own Endpoint at once. */
  look(index: number): void {
    const own = this.published[index]!;
    const others = this.seen[index]!.filter((_, at) => at !== index);
    const decision = decide({ wanted: this.wanted[index]!, inUse: this.use[index]!, own, others });
    this.use[index] = decision.use;
    const change = decision.use === this.wanted[index] ? undefined : decision.announce;
    this.published[index] = { clusterId: own.clusterId, backend: decision.use, change };
  }

  deliver(from: number, to: number): void {
    this.seen[to]![from] = this.published[from]!;
  }

  /** Until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < 6; round += 1)
      for (let from = 0; from < this.count; from += 1) {
        this.look(from);
        for (let to = 0; to < this.count; to += 1) this.deliver(from, to);
      }
  }
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom('join', 'look', 'look', 'deliver', 'deliver', 'deliver'),
    from: fc.nat({ max: 3 }),
    to: fc.nat({ max: 3 }),
  }),
  { maxLength: 120 },
);

test('in whatever order clusters hear of each other: nobody changes before all want to, and in the end all have', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 4 }), steps, (count, list) => {
      const model = new Model(count);
      for (const { what, from, to } of list) {
        const [a, b] = [from % count, to % count];
        if (what === 'join') model.wanted[a] = NEW;
        else if (what === 'look') model.look(a);
        else model.deliver(a, b);
        const all = model.wanted.every((wanted) => wanted === NEW);
        if (!all && model.use.includes(NEW)) throw new Error('changed too early');
      }
      model.wanted.fill(NEW);
      model.settle();
      expect(model.use).toEqual(model.use.map(() => NEW));
    }),
    { numRuns: 500 },
  );
});

test('a cluster that was joined with the former driver again holds all others where they are', () => {
  const model = new Model(3);
  model.wanted[0] = NEW;
  model.wanted[1] = NEW;
  model.settle();
  model.wanted[0] = OLD;
  model.settle();
  model.wanted[2] = NEW;
  model.settle();
  expect(model.use).toEqual([OLD, OLD, OLD]);
  model.wanted[0] = NEW;
  model.settle();
  expect(model.use).toEqual([NEW, NEW, NEW]);
});
