import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { convergeNetwork, observeNetwork } from '../../src/host/network.ts';
import { createClaims } from '../../src/net/claims.ts';
import { cidrsOverlap, minimalCidrs } from '../../src/net/cidr.ts';
import { diffNetwork } from '../../src/net/diff.ts';
import { describePlan } from '../../src/net/plan.ts';
import { EMPTY_STATE } from '../../src/net/state.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeHost } from '../fakes/host.ts';
import { OWN, state } from './random-state.ts';

describe('from any state to any other', () => {
  test('the plan is enough, needs nothing twice, and touches nobody else', async () => {
    await fc.assert(
      fc.asyncProperty(state, state, async (first, second) => {
        const host = new FakeHost();
        host.addLink('eth0', ['172.18.0.3/16', '172.18.0.4/16']);
        host.do('ip route add 10.0.0.0/16 dev eth0 table 99 proto 200');
        host.do('ip route add 10.99.0.0/16 dev eth0');
        const before = host.snapshot();
        const tools = { runner: host, logger: silentLogger };
        for (const wanted of [first, second, EMPTY_STATE]) {
          await convergeNetwork(tools, OWN, wanted);
          const observed = await observeNetwork(host, OWN, wanted);
          expect(describePlan(diffNetwork(wanted, observed))).toBe('');
        }
        expect(host.snapshot()).toEqual(before);
      }),
      { numRuns: 150 },
    );
  });
});

test('a link with another interface id is made anew, its routes with it', () => {
  const link = { name: 'ipsec0', kind: 'xfrm', ifId: 2, mtuBytes: 1400, up: true } as const;
  const routes = [{ destination: '10.1.0.0/16', table: 100, link: 'ipsec0' }];
  const wanted = { ...EMPTY_STATE, links: [link], routes };
  expect(describePlan(diffNetwork(wanted, { ...wanted, links: [{ ...link, ifId: 1 }] })).split('\n')).toEqual([
    '- link ipsec0',
    '+ link ipsec0 xfrm if_id 0x2 mtu 1400 up',
    expect.stringMatching(/route 10.1.0.0\/16 dev ipsec0 table 100/),
  ]);
  expect(diffNetwork(wanted, wanted)).toEqual([]);
});

describe('claims of prefixes', () => {
  test('agree with comparing everything with everything', () => {
    const cidr = fc
      .tuple(fc.nat(255), fc.integer({ min: 6, max: 26 }))
      .map(([n, length]) => `10.${n}.${n}.0/${length}`);
    fc.assert(
      fc.property(fc.array(fc.uniqueArray(cidr, { minLength: 1, maxLength: 4 }), { maxLength: 8 }), (owners) => {
        const claims = createClaims();
        const taken: { owner: string; cidr: string }[] = [];
        owners.forEach((cidrs, index) => {
          const owner = `o${index}`;
          const minimal = minimalCidrs(cidrs);
          const expected = minimal.filter((text) => taken.some((other) => cidrsOverlap(text, other.cidr)));
          expect(claims.conflicts(owner, minimal).map((clash) => clash.cidr)).toEqual(expected);
          if (expected.length > 0) return;
          claims.add(owner, minimal);
          taken.push(...minimal.map((text) => ({ owner, cidr: text })));
        });
      }),
    );
  });
});

test('minimal prefixes cover the same addresses, none covers another', () => {
  expect(minimalCidrs(['10.1.0.0/16', '10.0.0.0/8', '1.1.1.1', 'junk', '10.0.0.0/8', '2001:db8::/32'])).toEqual([
    '1.1.1.1/32',
    '10.0.0.0/8',
    '2001:db8::/32',
  ]);
});
