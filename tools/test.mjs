// The whole test run: format, lint, types, dead code, then every Jest project. Goes on after a failure so that one run
// tells everything, and ends with one line "N passed, N failed".
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { recordFolder, removeLeftovers } from './leftovers.mjs';

const bin = (name) => path.join('node_modules', '.bin', name);
const checks = [
  ['format', bin('prettier'), ['--check', '--log-level', 'warn', '.']],
  ['lint', bin('oxlint'), ['--type-aware', '--quiet', 'src', 'test', 'bench', 'tools']],
  ['types', bin('tsc'), ['-p', '.']],
];

let passed = 0;
let failed = 0;
let interrupted = false;
const children = new Set();
/** Jest ends at once, whether the terminal has told it or not; what its tests leave behind is removed at the end. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of children) child.kill(signal);
  });
}
const record = recordFolder();
const started = Date.now();
const elapsed = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;

const out = mkdtempSync(path.join(tmpdir(), 'subctl-test-'));
/**
 * A control group (v1 or v2) whose processes get only what others leave of the processors; undefined where none can be
 * made. Niceness would not do: what a sandbox starts is in sessions of its own, and the kernel weighs sessions.
 */
function backSeat() {
  const [v1, v2] = ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup'].map((dir) => path.join(dir, `subctl-test-${process.pid}`));
  const [dir, file, least] = existsSync('/sys/fs/cgroup/cpu/cpu.shares')
    ? [v1, 'cpu.shares', '100']
    : [v2, 'cpu.weight', '10'];
  try {
    mkdirSync(dir);
  } catch {
    return undefined;
  }
  try {
    writeFileSync(path.join(dir, file), least);
    return dir;
  } catch {
    rmdirSync(dir);
    return undefined;
  }
}

async function leaveBackSeat(dir) {
  if (dir === undefined) return;
  const endMs = Date.now() + 5000;
  for (let left = false; !left;) {
    try {
      rmdirSync(dir);
      left = true;
    } catch {
      if (Date.now() > endMs) {
        console.log(`processes of the tests still run, see ${dir}/cgroup.procs`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Runs a program, in the control group when there is one, and says how it ended; true = well. */
async function run(title, command, stdout, group) {
  const words =
    group === undefined ? command : ['sh', '-c', 'echo $$ >"$0" && exec "$@"', `${group}/cgroup.procs`, ...command];
  const env = { ...process.env, SUBCTL_TEST_RUN: record };
  const child = spawn(words[0], words.slice(1), { stdio: ['ignore', stdout, 'inherit'], env });
  children.add(child);
  child.once('error', ({ message }) => console.log(message));
  const status = await new Promise((resolve) => child.once('close', resolve));
  children.delete(child);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${title} (${elapsed()})`);
  return status === 0;
}

async function check([title, file, args], group) {
  if (interrupted) return;
  if (await run(title, [file, ...args], 'inherit', group)) passed += 1;
  else failed += 1;
}

/** Runs tests of a Jest project and adds their counts; a run without a result file counts as one failure. */
async function jest(title, project, args, group) {
  if (interrupted) return;
  const result = path.join(out, `${title}.json`);
  const command = [
    process.execPath,
    '--experimental-vm-modules',
    '--no-warnings',
    'node_modules/jest/bin/jest.js',
    '--json',
    `--outputFile=${result}`,
    '--selectProjects',
    project,
    ...args,
  ];
  await run(title, command, 'ignore', group);
  try {
    const report = JSON.parse(readFileSync(result, 'utf8'));
    passed += report.numPassedTests;
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites;
    if (report.numTotalTests === 0) failed += 1;
  } catch {
    failed += 1;
  }
}

/** End-to-end tests that neither count packets nor measure; all others have the machine for themselves. */
const CALM = 'badinput|demo|gather|gitops|pre|renumber';
/** Those that may run beside them. */
const BESIDE = 'credentials|rights|sandbox|uninstall';

const e2e = (which) => ['--runInBand', '--testPathPatterns', `test/e2e/${which}\\.`];
const group = backSeat();
const calm = async () => {
  for (const one of checks) await check(one, group);
  await jest('unit', 'unit', ['--maxWorkers=2'], group);
  await jest('e2e: calm', 'e2e', e2e(`(${CALM})`), group);
};
const others = async () => {
  await jest('netns', 'netns', ['--runInBand']);
  await jest('e2e: beside', 'e2e', e2e(`(${BESIDE})`));
};

try {
  // Those in network namespaces mostly wait for packets; the others live on what is left.
  if (group !== undefined) await Promise.all([calm(), others()]);
  else {
    await calm();
    await others();
  }
  await jest('e2e: alone', 'e2e', e2e(`(?!(${CALM}|${BESIDE})\\.)[^/]+`));
} finally {
  rmSync(out, { recursive: true, force: true });
  removeLeftovers(record);
  await leaveBackSeat(group);
}
console.log(`whole run: ${elapsed()}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && !interrupted ? 0 : 1);
