// Every test that needs an API server, against a real one: KUBEBUILDER_ASSETS=DIR npm run test:kube [-- --only unit|e2e]
// Words after -- go on to Jest, e.g. --testPathPatterns kube/
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { runJest } from './jest-run.mjs';

const HOW = `Make one from Debian's packages: npm run kube-apiserver -- DIR
Then: KUBEBUILDER_ASSETS=DIR npm run test:kube`;

function refuse(problem) {
  process.stderr.write(`test:kube: ${problem}\n${HOW}\n`);
  process.exit(1);
}

function assets() {
  const dir = process.env.KUBEBUILDER_ASSETS ?? '';
  if (dir === '') refuse('KUBEBUILDER_ASSETS is not set: a directory with kube-apiserver and etcd is needed');
  for (const name of ['kube-apiserver', 'etcd']) {
    try {
      accessSync(path.resolve(dir, name), constants.X_OK);
    } catch {
      refuse(`there is no program ${name} in ${path.resolve(dir)}`);
    }
  }
  return path.resolve(dir);
}

/** Tests below test/ that start an API server through test/apiserver.ts; what is about the embedded one itself is not here. */
const UNIT = [
  'test/commands/apiserver.test.ts',
  'test/kube/apiserver.test.ts',
  'test/sandbox/apiserver/kubectl.test.ts',
];

/** Such a server takes its time to start. */
const PATIENCE = '3';
const env = { TEST_PATIENCE: process.env.TEST_PATIENCE ?? PATIENCE, KUBEBUILDER_ASSETS: assets() };
const words = process.argv.slice(2);
const at = words.indexOf('--only');
const only = at < 0 ? undefined : words.splice(at, 2)[1];
const runs = [
  { project: 'unit', files: UNIT.flatMap((file) => ['--runTestsByPath', file]) },
  { project: 'e2e', files: [] },
].filter(({ project }) => only === undefined || project === only);
process.exit(
  await runJest(
    runs.map(({ project, files }) => ({ args: ['--runInBand', '--selectProjects', project, ...files, ...words], env })),
  ),
);
