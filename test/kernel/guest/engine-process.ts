import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { DesiredCables } from '../../../src/engine/drivers/driver.ts';
import { until, type TestGateway } from '../../netns/cable-testbed.ts';

const SCRIPT = path.join(import.meta.dirname, 'cable-process.ts');

/** Starts a process that keeps the cables of a gateway, as its engine does, and waits until they are connected. */
export async function startEngineProcess(
  name: string,
  { dependencies }: TestGateway,
  desired: DesiredCables,
): Promise<ChildProcess> {
  const { runner: _runner, logger: _logger, ...plain } = dependencies;
  const argument = JSON.stringify({ name, dependencies: plain, desired });
  const child = spawn(process.execPath, ['--no-warnings', SCRIPT, argument], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (piece) => (said += String(piece)));
  await until(
    'the engine has its cables',
    () => {
      if (child.exitCode !== null) throw new Error('the engine ended');
      return said.includes('connected');
    },
    30_000,
  );
  return child;
}

/** Kills it as a crash does and waits for its end. */
export async function killEngineProcess(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGKILL');
  await ended;
}
