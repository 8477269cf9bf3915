// The fault suite: npm run test:faults [-- --driver vxlan,ipsec --only drain,node-kill]. Hands the words on to Jest.
import { spawnSync } from 'node:child_process';

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
const run = spawnSync(process.execPath, [...jest, '--selectProjects', 'faults', '--runInBand', ...rest], {
  stdio: 'inherit',
  env,
});
process.exit(run.status ?? 1);
