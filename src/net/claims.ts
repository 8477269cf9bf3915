import { cidrRange } from './cidr.ts';

/** A prefix that somebody has taken. */
interface Claim {
  readonly owner: string;
  readonly cidr: string;
}

interface Range extends Claim {
  readonly first: number | bigint;
  readonly last: number | bigint;
}

function rangeOf(owner: string, cidr: string): Range | undefined {
  const range = cidrRange(cidr);
  return range === undefined ? undefined : { owner, cidr, ...range };
}

/** Disjoint prefixes with their owners; a question costs a binary search. */
export interface Claims {
  /** The claims of others that share an address with one of these prefixes. */
  conflicts(owner: string, cidrs: readonly string[]): readonly { readonly cidr: string; readonly with: Claim }[];
  /** Takes the prefixes without conflict; the others, and junk, are left out. */
  add(owner: string, cidrs: readonly string[]): void;
}

/** An empty book of claims. */
export function createClaims(): Claims {
  /** Sorted by `first`; no two overlap. */
  const ranges: Range[] = [];
  const position = (first: number | bigint): number => {
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ranges[middle]?.first ?? 0) < first) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const meeting = (range: Range): Range | undefined => {
    const index = position(range.first);
    const [before, after] = [ranges[index - 1], ranges[index]];
    if (before !== undefined && before.last >= range.first) return before;
    return after !== undefined && after.first <= range.last ? after : undefined;
  };
  return {
    conflicts: (owner, cidrs) =>
      cidrs.flatMap((cidr) => {
        const range = rangeOf(owner, cidr);
        const other = range === undefined ? undefined : meeting(range);
        return other === undefined || other.owner === owner
          ? []
          : [{ cidr, with: { owner: other.owner, cidr: other.cidr } }];
      }),
    add: (owner, cidrs) => {
      for (const cidr of cidrs) {
        const range = rangeOf(owner, cidr);
        if (range !== undefined && meeting(range) === undefined) ranges.splice(position(range.first), 0, range);
      }
    },
  };
}
