/** Where a cluster is between two pre-shared keys. Pure. */
import { ExpectedError } from '../../runtime/errors.ts';

/** The keys in a cluster's Secret: standard base64; '' for what is not there. */
export interface HeldKeys {
  readonly clusterId: string;
  readonly psk: string;
  readonly next: string;
  readonly previous: string;
}

/** old: knows nothing of the new key; accepts: accepts it; uses: uses it and accepts the old one; done. */
export type PskStage = 'old' | 'accepts' | 'uses' | 'done';

/** The key a set of clusters is on the way to; undefined when it is not on the way, and all have one key. */
export function keyOnTheWay(clusters: readonly HeldKeys[]): string | undefined {
  const distinct = (keys: readonly string[]): readonly string[] => [...new Set(keys.filter((key) => key !== ''))];
  const used = distinct(clusters.map(({ psk }) => psk));
  const next = distinct(clusters.map((one) => one.next));
  const switched = distinct(clusters.flatMap(({ psk, previous }) => (previous === '' ? [] : [psk])));
  const targets = distinct([...next, ...switched]);
  if (targets.length > 1 || used.length > 2 || (used.length === 2 && targets.length === 0)) {
    throw new ExpectedError(
      `the clusters have different pre-shared keys already: ${clusters.map(({ clusterId }) => clusterId).join(', ')}`,
      { hint: 'Join them with one broker-info.subm first: subctl join broker-info.subm. Nothing was changed.' },
    );
  }
  return targets[0];
}

/** How far a cluster is with a key. */
export function stageOf({ psk, next, previous }: HeldKeys, key: string): PskStage {
  if (psk === key) return previous === '' ? 'done' : 'uses';
  return next === key ? 'accepts' : 'old';
}

/** The Secret's data one stage further. */
export function advanced(keys: HeldKeys, key: string): Readonly<Record<string, string>> {
  const { psk } = keys;
  switch (stageOf(keys, key)) {
    case 'old':
      return { psk, 'psk-next': key };
    case 'accepts':
      return { psk: key, 'psk-previous': psk };
    default:
      return { psk: key };
  }
}
