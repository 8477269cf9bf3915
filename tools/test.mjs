// The whole test run: format, lint, types, dead code, then every Jest project. Goes on after a failure so that one run
// tells everything, and ends with one line "N passed, N failed".
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const bin = (name) => path.join('node_modules', '.bin', name);
const checks = [
  ['format', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['lint', bin('oxlint'), ['--type-aware', '--quiet', 'src', 'test', 'bench', 'tools']],
  ['types', bin('tsc'), ['-p', '.']],
];

let passed = 0;
let failed = 0;
const started = Date.now();
const elapsed = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;

for (const [title, file, args] of checks) {
  const good = spawnSync(file, args, { stdio: 'inherit' }).status === 0;
  if (good) passed += 1;
  else failed += 1;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${title} (${elapsed()})`);
}

const out = mkdtempSync(path.join(tmpdir(), 'subctl-test-'));
/** Runs Jest projects and adds their counts; a run without a result file counts as one failure. */
function jest(title, args) {
  const result = path.join(out, `${title}.json`);
  const run = spawnSync(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--no-warnings',
      'node_modules/jest/bin/jest.js',
      '--json',
      `--outputFile=${result}`,
      ...args,
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  try {
    const report = JSON.parse(readFileSync(result, 'utf8'));
    passed += report.numPassedTests;
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites;
    if (report.numTotalTests === 0) failed += 1;
  } catch {
    failed += 1;
  }
  console.log(`${run.status === 0 ? 'ok    ' : 'FAILED'} ${title} (${elapsed()})`);
}

try {
  jest('unit', ['--selectProjects', 'unit', '--maxWorkers=2']);
  jest('netns', ['--selectProjects', 'netns', '--runInBand']);
  jest('e2e', ['--selectProjects', 'e2e', '--runInBand']);
} finally {
  rmSync(out, { recursive: true, force: true });
}
console.log(`whole run: ${elapsed()}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
