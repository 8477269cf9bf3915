import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { CommandRunner } from '../../host/command.ts';
import type { KubeClient } from '../../kube/client.ts';
import { createHttpsClient } from '../../kube/httpsclient.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Environment } from '../../runtime/process.ts';
import { API_PORT, type ClusterPlan } from '../plan.ts';
import { isAlive, startDaemon, type ProcessIdentity } from '../processes.ts';
import { nameOption, type SandboxFiles } from './state.ts';

/** Tells the operator what is being done. */
export interface Progress {
  step<T>(text: string, work: () => Promise<T>): Promise<T>;
}

/** What the operations on a sandbox are given. */
export interface SandboxTools {
  readonly files: SandboxFiles;
  readonly runner: CommandRunner;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Environment of the caller; daemons get PATH and LOG_LEVEL of it. */
  readonly env: Environment;
  readonly product: Product;
}

/** The programs a sandbox starts. */
export interface Product {
  /** The Node.js binary. */
  readonly node: string;
  /** Folder with sandbox.mjs, engine.mjs and routeagent.mjs. */
  readonly dist: string;
  /** Tag of the images. */
  readonly version: string;
}

/** Finds dist/ of the product from any of its files, bundled or not; rejects when it was not built. */
export function findDist(from: string): string {
  for (let at = from; at !== path.dirname(at); at = path.dirname(at)) {
    for (const dist of [at, path.join(at, 'dist')]) {
      if (existsSync(path.join(dist, 'sandbox.mjs'))) return dist;
    }
  }
  throw new ExpectedError('the programs of the sandbox are not built', { hint: 'Run: npm run build' });
}

/** What stands in cluster.json of each cluster: how the sandbox's own processes reach its API server. */
export interface ClusterSecrets {
  readonly adminToken: string;
  /** PEM. */
  readonly ca: string;
}

export function readSecrets(files: SandboxFiles, cluster: string): ClusterSecrets {
  try {
    return JSON.parse(readFileSync(files.secrets(cluster), 'utf8')) as ClusterSecrets;
  } catch (error) {
    throw new ExpectedError(`cannot read the credentials of cluster ${cluster}: ${messageOf(error)}`, {
      hint: `Remove the sandbox and start it again: subctl sandbox down${nameOption(path.basename(files.dir))}`,
      cause: error,
    });
  }
}

/** The URL of a cluster's API server, the same for everybody inside and outside the sandbox. */
export function serverUrl(cluster: ClusterPlan): string {
  return `https://${cluster.controlPlane.wanAddress}:${API_PORT}`;
}

/** An administrator's client of one cluster, straight over the socket of its control plane. */
export function clusterClient(files: SandboxFiles, cluster: ClusterPlan): KubeClient {
  const { adminToken, ca } = readSecrets(files, cluster.name);
  return createHttpsClient({
    server: serverUrl(cluster),
    socketPath: files.socket(cluster.name),
    tlsServerName: 'localhost',
    token: adminToken,
    ca,
    source: `sandbox cluster ${cluster.name}`,
  });
}

/** Starts one of the sandbox's own programs, `sandbox.mjs PROGRAM --config FILE`. */
export function startProgram(
  tools: SandboxTools,
  program: string,
  role: string,
  namespace?: string,
): Promise<ProcessIdentity> {
  const { files, product, env } = tools;
  return startDaemon({
    file: product.node,
    args: [path.join(product.dist, 'sandbox.mjs'), program, '--config', files.config(role)],
    logFile: files.log(role),
    env: { PATH: env['PATH'], LOG_LEVEL: env['LOG_LEVEL'], LC_ALL: 'C' },
    ...(namespace === undefined ? {} : { namespace }),
  });
}

/** The last lines of a process's log, for messages. */
export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
  } catch {
    return '';
  }
}

export interface Wait {
  /** What is being waited for, e.g. "the API server of east". */
  readonly what: string;
  readonly timeoutMs: number;
  /** A process without which waiting is pointless, and its log. */
  readonly process?: { readonly identity: ProcessIdentity; readonly log: string };
}

/** Looks every 50 ms until `look` gives something; rejects at the end of the time, with the signal, or when the process has ended. */
export async function waitFor<T>(tools: SandboxTools, wait: Wait, look: () => Promise<T | undefined>): Promise<T> {
  const { clock, signal } = tools;
  const endMs = clock.monotonic() + wait.timeoutMs;
  let last: unknown;
  for (;;) {
    if (signal.aborted)
      throw new ExpectedError('interrupted', {
        hint: `What was begun is removed by: subctl sandbox down${nameOption(path.basename(tools.files.dir))}`,
      });
    try {
      const found = await look();
      if (found !== undefined) return found;
    } catch (error) {
      last = error;
    }
    const { process: needed } = wait;
    if (needed !== undefined && !isAlive(needed.identity)) {
      throw new ExpectedError(`${wait.what}: the process ended\n${lastLines(needed.log, 10)}`, {
        hint: `The whole log is ${needed.log}`,
      });
    }
    if (clock.monotonic() > endMs) {
      const why = last === undefined ? '' : `: ${messageOf(last)}`;
      throw new ExpectedError(`${wait.what} was not ready within ${wait.timeoutMs / 1000} s${why}`, {
        hint:
          needed === undefined
            ? 'Is the machine busy? Try again, or look at: subctl sandbox status'
            : `Look at its log, ${needed.log}`,
        cause: last,
      });
    }
    await clock.sleep(50, signal);
  }
}

/**
 * Does several things at once. When one fails the others are told to stop, and the failure is thrown only after all have
 * ended, so that nothing is started behind the back of whoever cleans up.
 */
export async function together<T>(
  tools: SandboxTools,
  works: readonly ((tools: SandboxTools) => Promise<T>)[],
): Promise<readonly T[]> {
  const stop = new AbortController();
  const inner = { ...tools, signal: AbortSignal.any([tools.signal, stop.signal]) };
  const failures: unknown[] = [];
  const results = await Promise.all(
    works.map(async (work) => {
      try {
        return [await work(inner)];
      } catch (error) {
        failures.push(error);
        stop.abort();
        return [];
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
  return results.flat();
}
