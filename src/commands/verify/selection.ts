import { UsageError } from '../../runtime/errors.ts';
import { CHOICES, type Case } from './cases.ts';

/** The word for the tests that take gateways away. */
export const FAILOVER = 'gateway-failover';

/** Words upstream knows for tests that this version does not have, with the reason. */
const ABSENT: Readonly<Record<string, string>> = {
  'service-discovery': 'there is no service discovery in this version',
  compliance: 'FIPS mode is not tested in this version',
};

/** All words of --only. */
export const WORDS: readonly string[] = [...Object.keys(CHOICES), FAILOVER, ...Object.keys(ABSENT)];

/** What is to be tested. */
export interface Selection {
  readonly chooses: (tested: Case) => boolean;
  /** Whether there is anything to be chosen among the tests between clusters. */
  readonly traffic: boolean;
  readonly failover: boolean;
  /** What was asked for by name and cannot be had. */
  readonly remarks: readonly string[];
}

/** Reads the words of --only; all tests without it. Throws UsageError for an unknown word. */
export function readSelection(words: readonly string[] | undefined): Selection {
  const unknown = (words ?? []).filter((word) => !WORDS.includes(word));
  if (unknown.length > 0) throw new UsageError(`--only: ${unknown.join(', ')}: give some of ${WORDS.join(', ')}`);
  const chosen = words ?? ['connectivity', FAILOVER];
  const tests = chosen.flatMap((word) => CHOICES[word] ?? []);
  return {
    chooses: (tested) => tests.some((test) => test(tested)),
    traffic: tests.length > 0,
    failover: chosen.includes(FAILOVER),
    remarks: chosen.flatMap((word) => (ABSENT[word] === undefined ? [] : [`${word}: ${ABSENT[word]}`])),
  };
}
