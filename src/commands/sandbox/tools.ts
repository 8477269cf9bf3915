import { existsSync } from 'node:fs';
import path from 'node:path';
import { createRunner } from '../../host/command.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { createLogger } from '../../runtime/logger.ts';
import { checkName, sandboxFiles, sandboxRoot } from '../../sandbox/lifecycle/state.ts';
import { findDist, type Progress, type SandboxTools } from '../../sandbox/lifecycle/tools.ts';
import type { CommandRun } from '../context.ts';

/** What the operations on sandbox `name` are given by the command line; -vv shows every program that is run. */
export function sandboxTools(run: CommandRun, name: string, progress: Progress = run.reporter): SandboxTools {
  const { context, flags } = run;
  const logger = createLogger({
    level: flags.verbosity >= 2 ? 'debug' : 'error',
    write: (line) => context.terminal.stderr.write(line),
  });
  return {
    files: sandboxFiles(sandboxRoot(context.env), checkName(name)),
    runner: createRunner({ logger }),
    logger,
    clock: context.clock,
    progress,
    signal: context.interrupted(),
    env: context.env,
    get product() {
      return { node: process.execPath, dist: findDist(import.meta.dirname), version: context.version };
    },
  };
}

/** Whether a shell with this search path finds subctl. */
export function isOnPath(directories: string): boolean {
  return directories.split(':').some((directory) => directory !== '' && existsSync(path.join(directory, 'subctl')));
}

/** The folder of the program that was built into `dist`. */
export function binDirectory(dist: string): string {
  return path.resolve(dist, '../bin');
}

/** How the operator calls this program: `subctl`, or its path when the shell does not find it. */
export function programName(run: CommandRun, tools: Pick<SandboxTools, 'product'>): string {
  const { cwd, env } = run.context;
  if (isOnPath(env['PATH'] ?? '')) return 'subctl';
  const file = path.join(binDirectory(tools.product.dist), 'subctl');
  const relative = path.relative(cwd, file);
  return relative.startsWith('..') ? file : relative;
}

/** `embedded`, or the directory of the control plane's programs as an absolute path. */
export function controlPlanePath(run: CommandRun, flags: { readonly controlPlane: string }): string {
  return flags.controlPlane === 'embedded' ? 'embedded' : path.resolve(run.context.cwd, flags.controlPlane);
}

/** Rejects when the caller may not make network namespaces. */
export function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new ExpectedError('a sandbox is made of network namespaces, which only root may create', {
    hint: 'Run the same command as root, for instance with sudo.',
  });
}
