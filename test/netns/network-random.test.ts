import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { convergeNetwork, observeNetwork } from '../../src/host/network.ts';
import { diffNetwork } from '../../src/net/diff.ts';
import { describePlan } from '../../src/net/plan.ts';
import { EMPTY_STATE } from '../../src/net/state.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { OWN, state } from '../net/random-state.ts';
import { Namespaces } from './namespaces.ts';

const spaces = new Namespaces();
const RUNS = Number(globalThis.process.env['RANDOM_RUNS'] ?? 8);

beforeAll(() => {
  spaces.add('n');
  spaces.ip(
    'n',
    `link add eth0 type veth peer name peer0
     addr add 172.18.0.3/16 dev eth0
     addr add 172.18.0.4/16 dev eth0
     link set eth0 up
     link set peer0 up
     route add 10.0.0.0/16 dev eth0 table 99 proto 200
     route add 10.99.0.0/16 dev eth0`,
  );
});
afterAll(() => spaces.remove());

const processes = [
  ['a process for each batch', () => spaces.runner('n')],
  ['processes that stay', () => spaces.watchedRunner('n')],
] as const;

test.each(processes)(
  'from any state to any other on the kernel, by %s: the plan is enough and touches nobody else',
  async (_, create) => {
    const foreign = (): string => spaces.sh('n', 'ip -br link; ip -4 route show table all; ip rule; nft list ruleset');
    const before = foreign();
    const runner = create();
    await fc.assert(
      fc.asyncProperty(state, state, async (first, second) => {
        for (const wanted of [first, second, EMPTY_STATE]) {
          await convergeNetwork({ runner, logger: silentLogger }, OWN, wanted);
          expect(describePlan(diffNetwork(wanted, await observeNetwork(runner, OWN, wanted)))).toBe('');
        }
        expect(foreign()).toBe(before);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  },
  600_000,
);
