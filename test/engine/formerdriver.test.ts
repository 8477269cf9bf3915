import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CableDriver } from '../../src/engine/drivers/driver.ts';
import type { CableDriverName } from '../../src/engine/config.ts';
import { FormerDriver } from '../../src/engine/formerdriver.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { World } from './world.ts';

let folder: string;
let cleaned: string[];
let failing: boolean;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'driver-test-'));
  cleaned = [];
  failing = false;
});
afterEach(() => rmSync(folder, { recursive: true }));

const world = new World();
const node = world.addNode('n', '172.31.0.11', '10.130.1.1', '/nowhere');

async function run(present: CableDriverName): Promise<void> {
  const create = (name: string): CableDriver => ({
    ...world.driver(node),
    name,
    cleanup: async () => {
      cleaned.push(name);
      if (failing) throw new Error('charon hangs');
    },
  });
  await new FormerDriver({ stateDir: path.join(folder, 'deep'), create, logger: silentLogger }).retire(present);
}

test('only a changed driver is cleaned up, once', async () => {
  await run('libreswan');
  await run('libreswan');
  expect(cleaned).toEqual([]);
  await run('wireguard');
  await run('wireguard');
  expect(cleaned).toEqual(['libreswan']);
});

test('what failed is tried again at the next start', async () => {
  await run('libreswan');
  failing = true;
  await run('vxlan');
  failing = false;
  await run('vxlan');
  await run('vxlan');
  expect(cleaned).toEqual(['libreswan', 'libreswan']);
});

test('a damaged note means nothing', async () => {
  await run('vxlan');
  writeFileSync(path.join(folder, 'deep', 'driver'), 'carrier-pigeon');
  await run('wireguard');
  expect(cleaned).toEqual([]);
});
