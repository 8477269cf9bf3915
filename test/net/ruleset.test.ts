import { describe, expect, test } from '@jest/globals';
import { parseListing } from '../../src/net/nftlisting.ts';
import { describePlan } from '../../src/net/plan.ts';
import { diffRuleset, renderRuleset, renderStep } from '../../src/net/ruleset.ts';
import type { Ruleset } from '../../src/net/state.ts';

const WANTED: Ruleset = {
  table: 'ours',
  sets: [
    {
      name: 'remote',
      type: 'ipv4_addr',
      interval: true,
      elements: ['10.2.0.0/16', '10.1.0.0/16', '10.1.5.0/24', '1.2.3.4/32'],
    },
    { name: 'nodes', type: 'ipv4_addr', interval: false, elements: ['172.18.0.4'] },
    { name: 'ports', type: 'inet_service', interval: false, elements: [] },
  ],
  chains: [
    {
      name: 'segments',
      hook: { type: 'filter', hook: 'postrouting', priority: -150 },
      rules: ['tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu comment "clamp"'],
    },
    { name: 'plain', rules: ['rt ipsec missing drop'] },
  ],
};

/** What nft 1.0.6 prints for WANTED after it was loaded. */
const LISTING = `table inet ours {
	set remote {
		type ipv4_addr
		flags interval
		elements = { 1.2.3.4, 10.1.0.0/16,
			     10.2.0.0/16 }
	}

	set nodes {
		type ipv4_addr
		elements = { 172.18.0.4 }
	}

	set ports {
		type inet_service
	}

	chain segments {
		type filter hook postrouting priority -150; policy accept;
		tcp flags syn / syn,rst tcp option maxseg size set rt mtu comment "clamp [#COMMENT]"
	}

	chain plain {
		rt ipsec missing drop comment "[#PLAIN]"
	}
}
`;
const marks = [...renderRuleset(WANTED).matchAll(/#([0-9a-f]{8})/g)].map((match) => match[1]!);
const listing = LISTING.replace('COMMENT', marks[0]!).replace('PLAIN', marks[1]!);
const diff = (text: string): string => describePlan(diffRuleset(WANTED, parseListing('ours', text)));

describe('an nft table', () => {
  test('is written with a mark a rule, covered prefixes left out', () => {
    expect(
      renderRuleset(WANTED)
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line.startsWith('elements') || line.includes('comment')),
    ).toEqual([
      'elements = { 1.2.3.4, 10.1.0.0/16, 10.2.0.0/16 }',
      'elements = { 172.18.0.4 }',
      expect.stringMatching(/^tcp flags .* comment "clamp \[#[0-9a-f]{8}\]"$/),
      expect.stringMatching(/^rt ipsec missing drop comment "\[#[0-9a-f]{8}\]"$/),
    ]);
  });

  test('read back is the wanted one, however nft prints its rules', () => {
    expect(diff(listing)).toBe('');
  });

  test.each<[string, (text: string) => string]>([
    ['a rule was removed', (text) => text.replace(/\t\trt ipsec.*\n/, '')],
    ['a rule was added', (text) => text.replace(/(\t\trt ipsec.*\n)/, '$1\t\taccept\n')],
    ['a rule was replaced', (text) => text.replace(/rt ipsec.*/, 'accept')],
    ['a chain was added', (text) => text.replace(/\}\n$/, '\tchain other {\n\t}\n}\n')],
    ['the table sleeps', (text) => text.replace('{\n', '{\n\tflags dormant\n')],
    ['a policy was changed', (text) => text.replace('policy accept', 'policy drop')],
    ['a priority was changed', (text) => text.replace('priority -150', 'priority -149')],
    ['a map was added', (text) => text.replace(/\}\n$/, '\tmap m {\n\t\ttype ipv4_addr : verdict\n\t}\n}\n')],
    ['a set became another', (text) => text.replace('\t\tflags interval\n', '')],
    ['a set got a timeout', (text) => text.replace('type inet_service', 'type inet_service\n\t\ttimeout 1h')],
    ['a comment was changed', (text) => text.replace('"clamp ', '"Clamp ')],
  ])('is swapped as a whole when %s', (_name, edit) => {
    expect(edit(listing)).not.toBe(listing);
    expect(diff(edit(listing))).toBe('~ nft table inet ours (3 sets, 2 chains, 2 rules)');
  });

  test('gets only elements when only elements differ', () => {
    expect(diff(listing.replace('10.2.0.0/16', '10.9.0.0/16').replace('172.18.0.4', '172.18.0.5'))).toBe(
      [
        '- nft set inet ours remote 10.9.0.0/16',
        '+ nft set inet ours remote 10.2.0.0/16',
        '- nft set inet ours nodes 172.18.0.5',
        '+ nft set inet ours nodes 172.18.0.4',
      ].join('\n'),
    );
  });

  test('as steps is one transaction that takes out before it puts in', () => {
    const [step] = diffRuleset(WANTED, parseListing('ours', listing.replace('10.2.0.0/16', '10.2.0.0/17')));
    expect(renderStep(step!)).toBe(
      'delete element inet ours remote { 10.2.0.0/17 }\nadd element inet ours remote { 10.2.0.0/16 }\n',
    );
    expect(renderStep({ action: 'removeTable', table: 'ours' })).toBe('table inet ours\ndelete table inet ours\n');
  });

  test('that is not wanted is removed, once', () => {
    expect(describePlan(diffRuleset(undefined, parseListing('ours', listing)))).toBe('- nft table inet ours');
    expect(diffRuleset(undefined, undefined)).toEqual([]);
  });
});
