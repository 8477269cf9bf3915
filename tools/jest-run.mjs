// Runs Jest for the scripts in this folder, and removes what its tests leave behind, also when it is interrupted.
import { spawn } from 'node:child_process';
import { recordFolder, removeLeftovers } from './leftovers.mjs';

const JEST = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];

/**
 * One run of Jest after the other, each { args, env? }: its words, and what is added to the environment. Goes on after
 * failures, not after an interruption. Exit code: 0 all passed, 1 failures, 130 interrupted.
 */
export async function runJest(runs) {
  const record = recordFolder();
  let running;
  let interrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      interrupted = true;
      running?.kill(signal);
    });
  }
  let failed = runs.length === 0;
  for (const { args, env = {} } of runs) {
    if (interrupted) break;
    running = spawn(process.execPath, [...JEST, ...args], {
      stdio: 'inherit',
      env: { ...process.env, ...env, SUBCTL_TEST_RUN: record },
    });
    running.once('error', ({ message }) => console.error(message));
    const status = await new Promise((resolve) => running.once('close', resolve));
    failed = status !== 0 || failed;
  }
  removeLeftovers(record);
  if (interrupted) return 130;
  return failed ? 1 : 0;
}
