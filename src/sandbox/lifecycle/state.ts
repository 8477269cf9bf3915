import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError, UsageError, messageOf } from '../../runtime/errors.ts';
import type { Environment } from '../../runtime/process.ts';
import type { ProcessIdentity } from '../processes.ts';

/** What `sandbox up` was asked for. */
export interface SandboxOptions {
  readonly name: string;
  readonly clusters: readonly string[];
  readonly nodes: number;
  readonly gateways: number;
  /** One-way delay of the WAN in milliseconds; 0 for none. */
  readonly wanLatencyMs: number;
  /** `embedded`, or a directory with kube-apiserver and etcd. */
  readonly controlPlane: string;
  /** `process`: the daemons are programs of this machine; `podman`: containers, from images. */
  readonly runtime: 'process' | 'podman';
}

/** What stands in state.json: enough to find, use and remove a sandbox from another process. */
export interface SandboxState {
  readonly format: 1;
  readonly options: SandboxOptions;
  /** `up` once everything runs; `starting` also after an interrupted `up`. */
  readonly phase: 'starting' | 'up';
  readonly createdAt: string;
  /** Loopback port of the proxy to the API servers; 0 until it runs. */
  readonly proxyPort: number;
  /** By role: relay, controlplane/CLUSTER, node/NODE. */
  readonly processes: Readonly<Record<string, ProcessIdentity>>;
}

/** Where the sandboxes of this user live; $SUBCTL_SANDBOX_DIR, else below $XDG_STATE_HOME or ~/.local/state. */
export function sandboxRoot(env: Environment): string {
  const chosen = env['SUBCTL_SANDBOX_DIR'];
  if (chosen !== undefined && chosen !== '') return path.resolve(chosen);
  const state = env['XDG_STATE_HOME'] ?? path.join(env['HOME'] ?? '/root', '.local/state');
  return path.join(state, 'subctl/sandbox');
}

/** Refuses names that could not be part of a file or network namespace name. */
export function checkName(name: string): string {
  if (/^[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?$/.test(name)) return name;
  throw new UsageError(`"${name}" cannot name a sandbox`, {
    hint: 'Use 1 to 16 lower-case letters, digits and dashes, for instance --name demo.',
  });
}

/** Files of one sandbox. */
export interface SandboxFiles {
  readonly dir: string;
  readonly state: string;
  readonly lock: string;
  /** All contexts in one kubeconfig. */
  readonly kubeconfig: string;
  config(role: string): string;
  log(role: string): string;
  socket(cluster: string): string;
  clusterKubeconfig(cluster: string): string;
  /** Files of the control plane of a cluster. */
  clusterDir(cluster: string): string;
  secrets(cluster: string): string;
  readonly portFile: string;
  nodeDir(node: string): string;
  /** Everything of podman, when it runs the daemons. */
  readonly podmanDir: string;
}

/** The layout of a sandbox's directory; the lock is beside it, so that it outlives `down`. */
export function sandboxFiles(root: string, name: string): SandboxFiles {
  const dir = path.join(root, name);
  const flat = (role: string): string => role.replaceAll('/', '-');
  return {
    dir,
    state: path.join(dir, 'state.json'),
    lock: path.join(root, `.${name}.lock`),
    kubeconfig: path.join(dir, 'kubeconfig'),
    config: (role) => path.join(dir, 'config', `${flat(role)}.json`),
    log: (role) => path.join(dir, 'logs', `${flat(role)}.log`),
    socket: (cluster) => path.join(dir, `${cluster}.sock`),
    clusterKubeconfig: (cluster) => path.join(dir, 'clusters', cluster, 'kubeconfig'),
    clusterDir: (cluster) => path.join(dir, 'clusters', cluster),
    secrets: (cluster) => path.join(dir, 'clusters', cluster, 'secrets.json'),
    portFile: path.join(dir, 'proxy.port'),
    podmanDir: path.join(dir, 'podman'),
    nodeDir: (node) => path.join(dir, 'nodes', node),
  };
}

/** Writes a file in one step: readers see the old content or the new one, also after a crash. Mode 0600. */
export function writeFileAtomically(file: string, content: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, file);
}

/** The state of a sandbox, undefined when there is none; rejects an unreadable one. */
export function readState(files: SandboxFiles): SandboxState | undefined {
  let text: string;
  try {
    text = readFileSync(files.state, 'utf8');
  } catch {
    return undefined;
  }
  try {
    const state = JSON.parse(text) as SandboxState;
    if (state.format === 1) return state;
    throw new ExpectedError(`format ${String(state.format)} is not known`);
  } catch (error) {
    throw new ExpectedError(`cannot read ${files.state}: ${messageOf(error)}`, {
      hint: `Remove the sandbox with: subctl sandbox down${nameOption(path.basename(files.dir))}`,
      cause: error,
    });
  }
}

export function writeState(files: SandboxFiles, state: SandboxState): void {
  writeFileAtomically(files.state, `${JSON.stringify(state, undefined, 2)}\n`);
}

/** What says on a command line which sandbox is meant: nothing for the default one. */
export function nameOption(name: string): string {
  return name === 'default' ? '' : ` --name ${name}`;
}

/** The state of a sandbox that is up. Rejects with the command that brings it up. */
export function requireState(files: SandboxFiles, name: string): SandboxState {
  const state = readState(files);
  const option = nameOption(name);
  if (state === undefined) {
    throw new ExpectedError(`no sandbox${name === 'default' ? '' : ` named ${name}`} is up`, {
      hint: `Start one with: subctl sandbox up${option}`,
    });
  }
  if (state.phase !== 'up') {
    throw new ExpectedError(`the sandbox is only half up: its start was interrupted`, {
      hint: `Start it again with: subctl sandbox up${option} (or remove it: subctl sandbox down${option})`,
    });
  }
  return state;
}

/** Names of the sandboxes that left a directory. */
export function listSandboxes(root: string): readonly string[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

/** Removes every file of a sandbox. */
export function removeFiles(files: SandboxFiles): void {
  rmSync(files.dir, { recursive: true, force: true });
}
