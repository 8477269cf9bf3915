// What an interrupted test run leaves behind. Each sandbox and each set of namespaces of a test is written down in a folder
// that the environment names (test/runrecord.ts): its name, and the folder of a sandbox or nothing.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Folder in which the tests of this run write down what they make; for their environment. */
export function recordFolder() {
  return mkdtempSync(path.join(tmpdir(), 'subctl-test-run-'));
}

const run = (file, args, env = {}) =>
  spawnSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...env } });

function removeNamespaces(prefix) {
  const made = existsSync('/run/netns') ? readdirSync('/run/netns') : [];
  for (const name of made.filter(
    (one) => one === prefix || one.startsWith(`${prefix}-`) || one.startsWith(`sbx-${prefix}-`),
  )) {
    for (const pid of run('ip', ['netns', 'pids', name]).stdout.split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    run('ip', ['netns', 'del', name]);
  }
}

/** Command lines of subctl that still work on a sandbox. */
function callsFor(name) {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.some((word) => word.endsWith('dist/subctl.mjs')) && words.some((word) => word.includes(name));
      } catch {
        return false;
      }
    });
}

function removeSandbox(name, root) {
  const endMs = Date.now() + CALLS_MS;
  for (let calls = callsFor(name); calls.length > 0 && Date.now() < endMs; calls = callsFor(name)) {
    for (const pid of calls) run('kill', [String(pid)]);
    spawnSync('sleep', ['0.1']);
  }
  run('bin/subctl', ['sandbox', 'down', '--name', name], { SUBCTL_SANDBOX_DIR: path.join(root, 'state') });
  rmSync(root, { recursive: true, force: true });
}

/** So long calls of subctl that were interrupted may take to end. */
const CALLS_MS = 15_000;

/** Removes all that is written down and still there, and the folder itself. */
export function removeLeftovers(folder) {
  for (const name of readdirSync(folder)) {
    const root = readFileSync(path.join(folder, name), 'utf8');
    if (root === '') removeNamespaces(name);
    else if (existsSync(root)) removeSandbox(name, root);
  }
  rmSync(folder, { recursive: true, force: true });
}
