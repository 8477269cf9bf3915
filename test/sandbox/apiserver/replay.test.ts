import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { type Outcome, type Recording, replay } from './replay.ts';
import { startTestServer } from './server.ts';

const DIR = fileURLToPath(new URL('../../fixtures/kube-recordings', import.meta.url));
/** Steps that were as recorded when this was last raised. */
const FLOOR = 677;
const STEPS = 681;

const recordings = readdirSync(DIR)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(path.join(DIR, file), 'utf8')) as Recording);

const deliberate = new Set(
  readFileSync(path.join(DIR, 'differences.txt'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(': '))
    .map((line) => line.slice(0, line.indexOf(': '))),
);

/** Replays recordings at the same time on one server; a hook that forgets history needs a server of its own. */
async function replayAll(chosen: readonly Recording[]): Promise<Outcome[]> {
  const server = await startTestServer();
  const target = { server: server.url, adminToken: server.adminToken, hooks: { compact: () => server.compact() } };
  try {
    return (await Promise.all(chosen.map((each) => replay(each, target)))).flat();
  } finally {
    await server.close();
  }
}

test('answers as the recorded kube-apiserver does', async () => {
  const compacting = recordings.filter(({ hooks }) => hooks !== undefined);
  const others = recordings.filter(({ hooks }) => hooks === undefined);
  const outcomes = (await Promise.all([replayAll(others), replayAll(compacting)])).flat();
  const green = outcomes.filter(({ problems }) => problems.length === 0);
  process.stdout.write(`API server recordings: ${green.length} of ${STEPS} steps as recorded\n`);

  const red = outcomes.filter(({ step, problems }) => problems.length > 0 && !deliberate.has(step));
  expect(red).toEqual([]);
  expect([...deliberate].filter((step) => !outcomes.some((one) => one.step === step))).toEqual([]);
  expect(green.map(({ step }) => step).filter((step) => deliberate.has(step))).toEqual([]);
  expect(outcomes).toHaveLength(STEPS);
  expect(green.length).toBeGreaterThanOrEqual(FLOOR);
}, 180_000);
