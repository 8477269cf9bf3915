import { expect, test } from '@jest/globals';
import type { Check, Outcome } from '../../../src/commands/diagnose/check.ts';
import { countResults, describeResult, resultOf } from '../../../src/commands/diagnose/report.ts';

const CHECK: Check = {
  category: 'deployment',
  name: 'x',
  title: 'All is well',
  hint: 'kubectl get pods, then subctl join broker-info.subm.',
  joinedOnly: true,
  run: async () => ({ status: 'ok' }),
};

const result = (outcome: Outcome) => resultOf(CHECK, outcome, { clusterId: 'east', context: 'admin@east' });

test('what is right takes one line', () => {
  expect(describeResult(result({ status: 'ok' }))).toBe(' ✓ All is well\n');
  expect(describeResult(result({ status: 'ok', message: '3 nodes' }))).toBe(' ✓ All is well (3 nodes)\n');
  expect(describeResult(result({ status: 'skipped', reason: 'not joined' }))).toBe(' - All is well (not joined)\n');
});

test('what is wrong names object, reason, mend and page; commands reach the cluster; shared mends are said once', () => {
  const findings = [
    { object: 'node a', reason: 'no\u001b[31m pod' },
    { object: 'node b', reason: 'no pod' },
    { object: 'node c', reason: 'gone', hint: 'Bring it back.' },
  ];
  expect(describeResult(result({ status: 'failed', findings }))).toBe(
    ` ✗ All is well
     node a: no [31m pod
     node b: no pod
     Mend: kubectl --context admin@east get pods, then subctl join broker-info.subm --context admin@east.
     node c: gone
     Mend: Bring it back.
     More: docs/diagnose.md#deployment-x
`,
  );
});

test('results are counted without the zeros', () => {
  const results = [result({ status: 'ok' }), result({ status: 'failed', findings: [] }), result({ status: 'ok' })];
  expect(countResults(results)).toBe('3 checks: 2 ok, 1 failed');
  expect(countResults([result({ status: 'ok' })])).toBe('1 check: 1 ok');
});
