import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { describeOutcome, perform, violations, type Outcome } from './perform.ts';
import { scenariosFor, type Scenario } from './scenarios.ts';
import { DRIVERS, FaultWorld, type Driver } from './world.ts';

// npm run test:faults -- --driver vxlan --only drain,node-kill
const words = (text: string | undefined): readonly string[] => (text ?? '').split(',').filter((word) => word !== '');
const wanted = words(process.env['FAULT_DRIVERS']);
const only = words(process.env['FAULT_ONLY']);

jest.setTimeout(300_000);

describe.each(DRIVERS.filter((driver) => wanted.length === 0 || wanted.includes(driver)))(
  'with %s',
  (driver: Driver) => {
    let world: FaultWorld | undefined;
    const fresh = async (): Promise<FaultWorld> => (world ??= await FaultWorld.up(driver));

    beforeAll(async () => void (await fresh()));
    afterAll(() => world?.down());

    /** A failure of one kind must not be the reason for the failure of the next. */
    async function mendOrRemove(broken: FaultWorld): Promise<void> {
      try {
        await broken.fault('--heal');
        await broken.settle();
      } catch {
        await broken.down();
        world = undefined;
      }
    }

    /** Keeps what all daemons logged while traffic saw more than it may. */
    async function keepLogs(broken: FaultWorld, { scenario, flows }: Outcome, sinceMs: number): Promise<void> {
      const file = path.join(mkdtempSync(path.join(tmpdir(), 'subctl-faults-')), `${driver}-${scenario}.log`);
      const gaps = flows.map(({ name, report }) => `${name}: ${JSON.stringify(report.udp.gaps)}`);
      writeFileSync(file, [...gaps, await broken.describe(sinceMs)].join('\n'));
      process.stdout.write(`  logs of all daemons: ${file}\n`);
    }

    async function attempt(scenario: Scenario): Promise<readonly string[]> {
      const now = await fresh();
      const sinceMs = Date.now();
      try {
        const outcome = await perform(now, scenario);
        // At once, and not when everything is over.
        process.stdout.write(`${describeOutcome(outcome)}\n`);
        const violated = violations(outcome, scenario, scenario.limits(driver));
        if (violated.length > 0) await keepLogs(now, outcome, sinceMs);
        return violated;
      } catch (error) {
        const trouble = `${error instanceof Error ? error.message : String(error)}\n${await now.describe()}`;
        await mendOrRemove(now);
        throw new Error(trouble, { cause: error });
      }
    }

    test.each(scenariosFor(driver, only).map((scenario) => [scenario.name, scenario.what, scenario] as const))(
      '%s: %s',
      async (_name, _what, scenario) => {
        expect(await attempt(scenario)).toEqual([]);
      },
    );
  },
);
