import { parseCidr } from '../net/cidr.ts';

/** A prefix somebody holds. */
export interface HeldCidr {
  readonly cidr: string;
  readonly holder: string;
}

/** The prefix lengths that occur among these CIDRs; what a CidrIndex is made for. */
export function prefixLengths(cidrs: readonly string[]): ReadonlySet<number> {
  return new Set(cidrs.map((cidr) => parseCidr(cidr)?.prefixLength).filter((length) => length !== undefined));
}

/**
 * Finds out who holds a prefix that overlaps another one, without comparing each with each. Two prefixes overlap when
 * the shorter one is the beginning of the longer one, so each is noted under its beginnings.
 */
export class CidrIndex {
  readonly #lengths: readonly number[];
  /** By a prefix: who holds exactly it. */
  readonly #exact = new Map<string, HeldCidr>();
  /** By a prefix: who first held something longer inside it. */
  readonly #inside = new Map<string, HeldCidr>();

  /** `lengths` are those of all prefixes that will be added or looked for. */
  constructor(lengths: ReadonlySet<number>) {
    this.#lengths = [...lengths].sort((a, b) => a - b);
  }

  /** Junk is not added. */
  add(cidr: string, holder: string): void {
    const held = { cidr, holder };
    for (const { key, isWhole } of this.#beginnings(cidr)) {
      const map = isWhole ? this.#exact : this.#inside;
      if (!map.has(key)) map.set(key, held);
    }
  }

  /** Who holds something that overlaps; undefined when nobody does, and for junk. */
  find(cidr: string): HeldCidr | undefined {
    for (const { key, isWhole } of this.#beginnings(cidr)) {
      const held = this.#exact.get(key) ?? (isWhole ? this.#inside.get(key) : undefined);
      if (held !== undefined) return held;
    }
    return undefined;
  }

  /** The prefix cut to each of the lengths it has at least, shortest first. */
  #beginnings(cidr: string): readonly { readonly key: string; readonly isWhole: boolean }[] {
    const parsed = parseCidr(cidr);
    if (parsed === undefined) return [];
    const { family, base, prefixLength } = parsed;
    const bits = family === 4 ? 32 : 128;
    return this.#lengths
      .filter((length) => length <= prefixLength)
      .map((length) => ({
        key: `${family}/${length}/${base >> BigInt(bits - length)}`,
        isWhole: length === prefixLength,
      }));
  }
}
