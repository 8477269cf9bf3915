// Keeps the cables of one gateway as its engine does, in a process of its own that can be killed. One argument: JSON.
import { setTimeout as sleep } from 'node:timers/promises';
import type { DesiredCables } from '../../../src/engine/drivers/driver.ts';
import { createDriver, type DriverDependencies } from '../../../src/engine/drivers/index.ts';
import { createRunner } from '../../../src/host/command.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';

const { name, dependencies, desired } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly name: string;
  readonly dependencies: Omit<DriverDependencies, 'runner' | 'logger'> & { readonly namespace: string };
  readonly desired: DesiredCables;
};
const logger = silentLogger;
const runner = createRunner({ logger, namespace: dependencies.namespace });
const driver = createDriver(name, { ...dependencies, runner, logger });
const { signal } = new AbortController();
for (;;) {
  try {
    await driver.start(signal);
    await driver.sync(desired, signal);
    const seen = await driver.connections();
    if (seen.length > 0 && seen.every(({ status }) => status === 'connected')) console.log('connected');
  } catch (error) {
    // The engine's loop looks again too.
    process.stderr.write(`${String(error)}\n`);
  }
  await sleep(500);
}
