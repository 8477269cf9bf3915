import { expect, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { page, ROOT } from './pages.ts';

/** All that the programs can say, with blanks as one. */
function sources(): string {
  const files = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const text = files.map((file) => readFileSync(path.join(ROOT, 'src', file), 'utf8')).join('\n');
  // A message may be put together over several lines.
  return text.replaceAll(/['`] \+\s*['`]/g, '').replaceAll(/\s+/g, ' ');
}

/** Messages in the first column of the tables, cut where names vary. */
function messages(text: string): readonly (readonly string[])[] {
  const cells = [...text.matchAll(/^\| (`.+?) \|/gm)].map(([, cell = '']) => cell);
  const quoted = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message));
  return quoted.map((message) => message.split('…').map((part) => part.trim()));
}

/** Said by Kubernetes, not by us. */
const FOREIGN = new Set(['ErrImagePull', 'ImagePullBackOff', 'ContainerCreating', 'active']);

test('every message on the page for trouble is one that the programs say', () => {
  const all = messages(page('docs/troubleshooting.md').text);
  expect(all.length).toBeGreaterThan(70);
  const said = sources();
  const parts = all.flat().filter((part) => part !== '' && !FOREIGN.has(part));
  // `a: b` may be put together of two messages.
  const unknown = parts.filter((part) => !said.includes(part) && !part.split(': ').every((one) => said.includes(one)));
  expect(unknown).toEqual([]);
});

test('an invented message would be found', () => {
  expect(sources()).not.toContain('the moon is in the wrong phase');
  expect(messages('| `it … is`, `so` | x |')).toEqual([['it', 'is'], ['so']]);
});
