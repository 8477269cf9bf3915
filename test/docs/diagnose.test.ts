import { expect, test } from '@jest/globals';
import { anchorOf, CATEGORIES } from '../../src/commands/diagnose/check.ts';
import { CHECKS, checksOf } from '../../src/commands/diagnose/checks.ts';
import { page } from './pages.ts';

const [FILE = ''] = anchorOf({ category: 'k8s', name: '' }).split('#');

/** Fragments of the headings of third order, one a check. */
function headings(): readonly string[] {
  return [...page(FILE).text.matchAll(/^### (.+)$/gm)].map(([, title = '']) => title.replaceAll(' ', '-'));
}

test('every check is explained under its anchor, and nothing else is', () => {
  const anchors = CHECKS.map((check) => anchorOf(check).split('#')[1] ?? '');
  expect(new Set(anchors).size).toBe(anchors.length);
  expect([...headings()].toSorted()).toEqual([...anchors].toSorted());
});

test('every category has checks, and all are run by `all`', () => {
  for (const category of CATEGORIES) expect(checksOf(category).length).toBeGreaterThan(0);
  expect(checksOf('all')).toHaveLength(CHECKS.length);
});

test('every check says what mends it, in one sentence that ends', () => {
  for (const { title, hint } of CHECKS) {
    expect(title).toMatch(/^[A-Z].*[^.]$/);
    expect(hint).toMatch(/\.$/);
  }
});
