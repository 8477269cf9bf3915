import { afterEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import { createMirror } from '../../src/kube/mirror.ts';
import { planMirror } from '../../src/kube/mirrorplan.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createLogger, silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const LABEL = 'submariner-io/clusterID';
type Thing = KubeObject & { spec: { cluster_id: string; subnets?: string[] } };

function thing(
  name: string,
  clusterId: string,
  options: { namespace?: string; label?: string; subnets?: string[] } = {},
): Thing {
  return {
    metadata: {
      name,
      namespace: options.namespace ?? 'local',
      labels: options.label === undefined ? {} : { [LABEL]: options.label },
    },
    spec: { cluster_id: clusterId, subnets: options.subnets ?? ['10.0.0.0/16'] },
  };
}

function setUp(local = new FakeKube(), broker = new FakeKube(), logger: Logger = silentLogger) {
  const clock = new FakeClock();
  const stop = new AbortController();
  let allowed = true;
  const mirror = createMirror({
    clusterId: 'east',
    local: { client: local, namespace: 'local' },
    broker: { client: broker, namespace: 'broker' },
    mayWrite: () => allowed,
    logger,
    clock,
  });
  const done = mirror.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
  };
  cleanups.push(end);
  return { local, broker, clock, mirror, end, allow: (allow: boolean) => void (allowed = allow) };
}

const cable = (name: string, number: number, options: { namespace?: string; label?: string } = {}): Thing => {
  const one = thing(name, 'east', options);
  const cableName = `submariner-cable-east-10-0-0-${number}`;
  return { ...one, spec: { ...one.spec, cable_name: cableName } } as Thing;
};

const { endpoints: type } = RESOURCES;
const names = (kube: FakeKube, namespace: string): string[] =>
  kube
    .all<Thing>(type, namespace)
    .map(({ metadata, spec }) => `${metadata.name}:${metadata.labels?.[LABEL] ?? '-'}:${spec.subnets?.join()}`);

describe('mirror', () => {
  test('own objects go out labelled, those of others come in, each with labels and annotations', async () => {
    const { local, broker, clock } = setUp();
    local.seed(RESOURCES.clusters, thing('east', 'east'));
    const own = thing('e1', 'east');
    local.seed(type, {
      ...own,
      metadata: { ...own.metadata, labels: { a: 'b' }, annotations: { n: '1' }, finalizers: ['keep/here'] },
    });
    broker.seed(type, thing('w1', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(100);
    expect(broker.all(type, 'broker').find(({ metadata }) => metadata.name === 'e1')).toMatchObject({
      metadata: { labels: { a: 'b', [LABEL]: 'east' }, annotations: { n: '1' } },
      spec: own.spec,
    });
    expect(broker.all(type, 'broker')[0]?.metadata.finalizers).toBeUndefined();
    expect(names(local, 'local')).toEqual(['e1:-:10.0.0.0/16', 'w1:west:10.0.0.0/16']);
    expect(broker.all(RESOURCES.clusters, 'broker')).toHaveLength(1);
    const writes = [local.writes.length, broker.writes.length];
    await clock.advance(200_000);
    expect([local.writes.length, broker.writes.length]).toEqual(writes);
  });

  test('changes and deletions follow', async () => {
    const { local, broker, clock } = setUp();
    local.seed(type, thing('e1', 'east'));
    local.seed(type, thing('e2', 'east'));
    broker.seed(type, thing('w1', 'west', { namespace: 'broker', label: 'west' }));
    broker.seed(type, thing('w2', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(100);
    local.drop(type, 'e2', 'local');
    broker.drop(type, 'w2', 'broker');
    await local.patch(type, 'e1', { spec: { subnets: ['10.9.0.0/16'] } }, { patchType: 'merge', namespace: 'local' });
    await broker.patch(type, 'w1', { spec: { subnets: ['10.8.0.0/16'] } }, { patchType: 'merge', namespace: 'broker' });
    await clock.advance(100);
    expect(names(broker, 'broker')).toEqual(['e1:east:10.9.0.0/16', 'w1:west:10.8.0.0/16']);
    expect(names(local, 'local')).toEqual(['e1:-:10.9.0.0/16', 'w1:west:10.8.0.0/16']);
  });

  test('at the start copies whose source is gone are removed on both sides', async () => {
    const { local, broker, clock } = setUp(
      new FakeKube([
        { type, object: thing('e1', 'east') },
        { type, object: thing('old-west', 'west', { label: 'west' }) },
      ]),
      new FakeKube([{ type, object: thing('old-east', 'east', { namespace: 'broker', label: 'east' }) }]),
    );
    await clock.advance(2000);
    expect([names(local, 'local'), names(broker, 'broker')]).toEqual([['e1:-:10.0.0.0/16'], ['e1:east:10.0.0.0/16']]);
  });

  test('the last Endpoint of a cluster is given up only when nothing takes its place for a while', async () => {
    const { local, broker, clock } = setUp();
    const west = thing('w1', 'west', { namespace: 'broker', label: 'west' });
    broker.seed(type, west);
    await clock.advance(100);
    const copies: number[] = [];
    local.onCall = ({ verb, resource }) => void (verb === 'delete' && resource === type.plural && copies.push(0));
    broker.drop(type, 'w1', 'broker');
    await clock.advance(1000);
    broker.seed(type, { ...west, spec: { ...west.spec, subnets: ['10.7.0.0/16'] } });
    await clock.advance(3000);
    expect(names(local, 'local')).toEqual(['w1:west:10.7.0.0/16']);
    broker.drop(type, 'w1', 'broker');
    await clock.advance(1000);
    broker.seed(type, thing('w2', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(100);
    expect(names(local, 'local')).toEqual(['w2:west:10.0.0.0/16']);
    expect(copies).toHaveLength(1);
    broker.drop(type, 'w2', 'broker');
    await clock.advance(1400);
    expect(names(local, 'local')).toEqual(['w2:west:10.0.0.0/16']);
    await clock.advance(200);
    expect(names(local, 'local')).toEqual([]);
  });

  test('Endpoints get names that roles of the broker know, and keep them; those of before keep theirs', async () => {
    const { local, broker, clock } = setUp();
    const brokerNames = (): readonly string[] => names(broker, 'broker').map((one) => one.split(':')[0]!);
    broker.seed(type, cable('east-submariner-cable-1', 1, { namespace: 'broker', label: 'east' }));
    local.seed(type, cable('east-submariner-cable-1', 1));
    await clock.advance(100);
    expect(brokerNames()).toEqual(['east-submariner-cable-1']);
    // One gateway after another takes over; for a moment both are published.
    for (const [number, expected] of [
      [2, 'east-gateway-0'],
      [3, 'east-gateway-1'],
      [4, 'east-gateway-0'],
    ] as const) {
      local.seed(type, cable(`east-submariner-cable-${number}`, number));
      await clock.advance(100);
      expect(brokerNames()).toContain(expected);
      expect(brokerNames()).toHaveLength(2);
      local.drop(type, `east-submariner-cable-${number - 1}`, 'local');
      await clock.advance(100);
      expect(brokerNames()).toEqual([expected]);
    }
    // Somebody else has a name of ours, on a broker that cannot prevent it.
    broker.seed(type, thing('east-gateway-1', 'west', { namespace: 'broker', label: 'west' }));
    local.seed(type, cable('east-submariner-cable-5', 5));
    await clock.advance(100);
    expect(brokerNames()).toContain('east-gateway-2');
    broker.drop(type, 'east-gateway-2', 'broker');
    await clock.advance(2000);
    expect(brokerNames()).toContain('east-gateway-2');
  });

  test('before anything is published nothing of ours is removed from the broker', async () => {
    const { broker, clock } = setUp(
      undefined,
      new FakeKube([{ type, object: thing('e1', 'east', { namespace: 'broker', label: 'east' }) }]),
    );
    await clock.advance(1000);
    expect(names(broker, 'broker')).toEqual(['e1:east:10.0.0.0/16']);
  });

  test('a broker that is away, from the start or later, freezes: nothing is removed, and it catches up', async () => {
    const { local, broker, clock, mirror } = setUp(
      new FakeKube([{ type, object: thing('w0', 'west', { label: 'west' }) }]),
      Object.assign(new FakeKube([{ type, object: thing('w1', 'west', { namespace: 'broker', label: 'west' }) }]), {
        down: true,
      }),
    );
    let changes = 0;
    mirror.onChange(() => (changes += 1));
    await clock.advance(60_000);
    expect(names(local, 'local')).toEqual(['w0:west:10.0.0.0/16']);
    expect(mirror.brokerProblem).toContain('connection refused');
    expect(changes).toBeGreaterThan(0);
    broker.down = false;
    await clock.advance(60_000);
    expect([names(local, 'local'), mirror.brokerProblem]).toEqual([['w1:west:10.0.0.0/16'], undefined]);
    broker.down = true;
    local.seed(type, thing('e1', 'east'));
    broker.drop(type, 'w1', 'broker');
    await clock.advance(60_000);
    expect(names(local, 'local')).toEqual(['e1:-:10.0.0.0/16', 'w1:west:10.0.0.0/16']);
    broker.down = false;
    await clock.advance(60_000);
    expect([names(local, 'local'), names(broker, 'broker')]).toEqual([['e1:-:10.0.0.0/16'], ['e1:east:10.0.0.0/16']]);
  });

  test('objects whose label and spec disagree are reported and left alone', async () => {
    const { local, broker, clock, mirror } = setUp(
      new FakeKube([
        { type, object: thing('stranger', 'north') },
        { type, object: thing('known', 'west', { label: 'west' }) },
      ]),
    );
    broker.seed(type, thing('liar', 'north', { namespace: 'broker', label: 'west' }));
    broker.seed(type, thing('known', 'north', { namespace: 'broker', label: 'west' }));
    await clock.advance(100);
    expect([local.writes, broker.writes]).toEqual([[], []]);
    expect(mirror.problems.join('\n')).toMatch(
      /stranger is not published[\s\S]*known of the broker[\s\S]*liar of the broker is ignored: its label/,
    );
  });

  test('nobody can overwrite our objects by taking their names', async () => {
    const { local, broker, clock, mirror } = setUp(new FakeKube([{ type, object: thing('e1', 'east') }]));
    broker.seed(type, thing('e1', 'west', { namespace: 'broker', label: 'west', subnets: ['6.6.6.0/24'] }));
    await clock.advance(100);
    expect(names(local, 'local')).toEqual(['e1:-:10.0.0.0/16']);
    expect(names(broker, 'broker')).toEqual(['e1:west:6.6.6.0/24']);
    expect(mirror.problems).toHaveLength(2);
  });

  test('one object a server refuses does not hold up the others', async () => {
    const { local, broker, clock, mirror } = setUp();
    local.onCall = ({ verb, name }) =>
      verb === 'create' && name === 'bad'
        ? new KubeApiError(
            422,
            { reason: 'Invalid', message: 'spec.x is wrong' },
            { server: 's', method: 'POST', path: '/' },
          )
        : undefined;
    broker.seed(type, thing('bad', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(1000);
    broker.seed(type, thing('good', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(100);
    expect(names(local, 'local')).toEqual(['good:west:10.0.0.0/16']);
    expect(mirror.problems.join()).toContain('spec.x is wrong');
  });

  test.each(['AlreadyExists', 'Conflict'])('a cache that was behind (%s) is no failure', async (reason) => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'info', write: (line) => lines.push(line) });
    const { local, broker, clock } = setUp(new FakeKube(), new FakeKube(), logger);
    let refusals = 1;
    local.onCall = ({ verb }) =>
      verb === 'create' && refusals-- > 0
        ? new KubeApiError(409, { reason, message: 'it is newer' }, { server: 's', method: 'POST', path: '/' })
        : undefined;
    broker.seed(type, thing('w1', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(1500);
    expect(refusals).toBeLessThan(0);
    expect(names(local, 'local')).toEqual(['w1:west:10.0.0.0/16']);
    expect(lines.filter((line) => /warn/i.test(line))).toEqual([]);
  });

  test('writes nothing while it may not, and makes up for it', async () => {
    const { local, broker, clock, allow } = setUp();
    allow(false);
    broker.seed(type, thing('w1', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(70_000);
    expect(names(local, 'local')).toEqual([]);
    allow(true);
    await clock.advance(70_000);
    expect(names(local, 'local')).toEqual(['w1:west:10.0.0.0/16']);
  });

  test('can be stopped and run again', async () => {
    const { local, broker, clock, mirror, end } = setUp();
    await clock.advance(100);
    await end();
    broker.seed(type, thing('w1', 'west', { namespace: 'broker', label: 'west' }));
    await clock.advance(1000);
    expect(names(local, 'local')).toEqual([]);
    const stop = new AbortController();
    const done = mirror.run(stop.signal);
    await clock.advance(1000);
    expect(names(local, 'local')).toEqual(['w1:west:10.0.0.0/16']);
    stop.abort();
    await done;
  });

  test('whatever fails on the way, both sides end up alike', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom('own', 'other'), name: fc.constantFrom('a', 'b', 'c'), net: fc.nat(3) }),
      fc.record({ do: fc.constantFrom('drop own', 'drop other'), name: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ do: fc.constantFrom('broker down', 'local down', 'up', 'fail', 'advance', 'break') }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (script) => {
        const { local, broker, clock, mirror, end } = setUp(new FakeKube([{ type, object: thing('e', 'east') }]));
        let failures = 0;
        const fail = (): Error | undefined => (failures-- > 0 ? new Error('injected') : undefined);
        local.onCall = fail;
        broker.onCall = fail;
        for (const one of script) {
          const { name = '', net = 0 } = one as { name?: string; net?: number };
          const subnets = [`10.${net}.0.0/16`];
          if (one.do === 'own' || one.do === 'drop own') local.drop(type, `e${name}`, 'local');
          if (one.do === 'other' || one.do === 'drop other') broker.drop(type, `w${name}`, 'broker');
          if (one.do === 'own') local.seed(type, thing(`e${name}`, 'east', { subnets }));
          if (one.do === 'other')
            broker.seed(type, thing(`w${name}`, 'west', { namespace: 'broker', label: 'west', subnets }));
          if (one.do === 'broker down') broker.down = true;
          if (one.do === 'local down') local.down = true;
          if (one.do === 'up') [local.down, broker.down] = [false, false];
          if (one.do === 'fail') failures = 3;
          if (one.do === 'break') broker.breakWatches('expired');
          if (one.do === 'advance') await clock.advance(500);
        }
        [local.down, broker.down, failures] = [false, false, 0];
        await clock.advance(120_000);
        const own = names(local, 'local').filter((one) => one.includes(':-:'));
        expect(names(broker, 'broker').filter((one) => one.includes(':east:'))).toEqual(
          own.map((one) => one.replace(':-:', ':east:')),
        );
        expect(names(local, 'local').filter((one) => one.includes(':west:'))).toEqual(
          names(broker, 'broker').filter((one) => one.includes(':west:')),
        );
        expect(mirror.problems).toEqual([]);
        await end();
      }),
      { numRuns: 50 },
    );
  }, 60_000);
});

test('a plan carried out leaves nothing to do', () => {
  const local = [thing('e1', 'east'), thing('w1', 'west', { label: 'west' })];
  const broker = [
    thing('w1', 'west', { namespace: 'broker', label: 'west' }),
    thing('e1', 'east', { namespace: 'broker', label: 'east' }),
  ];
  expect(planMirror({ clusterId: 'east', localNamespace: 'local', brokerNamespace: 'broker', local, broker })).toEqual({
    steps: [],
    problems: [],
  });
});
