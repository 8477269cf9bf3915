/** A version as numbers, and what comes after `-`; undefined when it is a name such as `devel`. */
interface Version {
  readonly numbers: readonly [number, number, number];
  readonly before: string;
}

function parseVersion(text: string): Version | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([\w.-]+))?(?:\+.*)?$/.exec(text);
  if (match === null) return undefined;
  const [, major = '0', minor = '0', patch = '0', before = ''] = match;
  return { numbers: [Number(major), Number(minor), Number(patch)], before };
}

/** Whether a version is newer than another one; false when one of them is a name, which nobody can compare. */
export function isNewer(text: string, than: string): boolean {
  const [one, other] = [parseVersion(text), parseVersion(than)];
  if (one === undefined || other === undefined) return false;
  for (const [index, number] of one.numbers.entries()) {
    const difference = number - (other.numbers[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  if (one.before === other.before || one.before === '') return one.before !== other.before;
  return other.before !== '' && comparePrereleases(one.before, other.before) > 0;
}

/** Numbers by size, and before words, as semantic versioning has it. */
function comparePrereleases(a: string, b: string): number {
  const [left, right] = [a.split('.'), b.split('.')];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [one, other] = [left[index], right[index]];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one !== other) return compareIdentifiers(one, other);
  }
  return 0;
}

function compareIdentifiers(one: string, other: string): number {
  const [isNumber, isOtherNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
  if (isNumber && isOtherNumber) return Number(one) - Number(other);
  if (isNumber !== isOtherNumber) return isNumber ? -1 : 1;
  return one < other ? -1 : 1;
}
