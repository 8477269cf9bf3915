// The fault suite: npm run test:faults [-- --driver vxlan,ipsec --only drain,node-kill]. Hands the words on to Jest.
import { spawn } from 'node:child_process';
import { recordFolder, removeLeftovers } from './leftovers.mjs';

const FLAGS = { '--driver': 'FAULT_DRIVERS', '--only': 'FAULT_ONLY' };
const env = { ...process.env };
const rest = [];
const args = process.argv.slice(2).flatMap((word) => {
  const [, flag, value] = /^(--[a-z]+)=(.*)$/.exec(word) ?? [];
  return flag === undefined ? [word] : [flag, value];
});
for (let at = 0; at < args.length; at += 1) {
  const name = FLAGS[args[at]];
  if (name === undefined) rest.push(args[at]);
  else env[name] = args[(at += 1)] ?? '';
}
const jest = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
const record = recordFolder();
const run = spawn(process.execPath, [...jest, '--selectProjects', 'faults', '--runInBand', ...rest], {
  stdio: 'inherit',
  env: { ...env, SUBCTL_TEST_RUN: record },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => run.kill(signal));
run.once('error', ({ message }) => console.error(message));
const status = await new Promise((resolve) => run.once('close', resolve));
removeLeftovers(record);
process.exit(status ?? 1);
