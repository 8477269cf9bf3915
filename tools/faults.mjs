// The fault suite: npm run test:faults [-- --driver vxlan,ipsec --only drain,node-kill]. Hands the words on to Jest.
import { runJest } from './jest-run.mjs';

const FLAGS = { '--driver': 'FAULT_DRIVERS', '--only': 'FAULT_ONLY' };
const env = {};
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
process.exit(await runJest([{ args: ['--selectProjects', 'faults', '--runInBand', ...rest], env }]));
