import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const DIR = fileURLToPath(new URL('../../../src/sandbox/apiserver', import.meta.url));
/** What the embedded server may be at most: it is a stand-in, not a product. */
const LIMIT = 3000;

test('the embedded API server stays small', () => {
  const files = readdirSync(DIR).filter((file) => file.endsWith('.ts'));
  const lines = files.reduce((sum, file) => sum + readFileSync(path.join(DIR, file), 'utf8').split('\n').length - 1, 0);
  expect(files.length).toBeGreaterThan(10);
  expect(lines).toBeLessThanOrEqual(LIMIT);
});
