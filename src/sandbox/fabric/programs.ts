import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError } from '../../runtime/errors.ts';
import { isPodNamespaceOf, type NodePlan, type SandboxPlan } from '../plan.ts';
import { commandLine, signalProcess, type ProcessIdentity } from '../processes.ts';
import { listNamespaces, namespacesOf, processesIn } from './namespaces.ts';

/** A program of a node that does nothing until it is continued. */
export interface Pause {
  readonly kind: 'paused';
  /** Name of the node. */
  readonly target: string;
  readonly program: string;
}

/**
 * The name of a program by its command line: `engine` for `node --no-opt …/engine.mjs`, `echo` for `node …/sandbox.mjs
 * echo`, `charon` for `/usr/lib/ipsec/charon` and for `charon-systemd`, as Debian's other one is called.
 */
export function programName(words: readonly string[]): string {
  const script = words.findIndex((word) => word.endsWith('.mjs'));
  // In an image the program has a name without ending.
  if (script < 0 && path.basename(words[0] ?? '') === 'node') {
    return path.basename(words.slice(1).find((word) => !word.startsWith('-')) ?? 'node');
  }
  const name = path.basename(words[Math.max(0, script)] ?? '', '.mjs');
  if (name === 'charon-systemd') return 'charon';
  return name === 'sandbox' ? (words[script + 1] ?? name) : name;
}

interface Program {
  readonly name: string;
  readonly identity: ProcessIdentity;
}

/** Everything that runs on a node, also in its pods. */
function programsOf(plan: SandboxPlan, node: NodePlan): readonly Program[] {
  const mine = (name: string): boolean => name === node.namespace || isPodNamespaceOf(plan.name, node.name, name);
  return processesIn(listNamespaces().filter(mine))
    .map((identity) => ({ name: programName(commandLine(identity.pid)), identity }))
    .filter(({ name }) => name !== '');
}

/** Sends a signal to every process of a program on a node; resolves to how many. Throws ExpectedError when it does not run there. */
export function signalProgram(plan: SandboxPlan, node: NodePlan, name: string, signal: NodeJS.Signals): number {
  const all = programsOf(plan, node);
  const found = all.filter((program) => program.name === name);
  if (found.length > 0) return found.filter(({ identity }) => signalProcess(identity, signal)).length;
  const names = [...new Set(all.map((program) => program.name))].sort();
  throw new ExpectedError(`no program "${name}" runs on ${node.name}`, {
    hint: names.length === 0 ? 'Nothing runs there.' : `It runs: ${names.join(', ')}.`,
  });
}

function isPaused(pid: number): boolean {
  try {
    return /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

function pausedOn(plan: SandboxPlan, node: NodePlan): readonly Program[] {
  return programsOf(plan, node).filter(({ identity }) => isPaused(identity.pid));
}

/** Lets the paused programs of a node go on. */
export function continuePrograms(plan: SandboxPlan, node: NodePlan): void {
  for (const { identity } of pausedOn(plan, node)) signalProcess(identity, 'SIGCONT');
}

/** The paused programs of a sandbox. */
export function observePauses(plan: SandboxPlan): readonly Pause[] {
  if (!processesIn(namespacesOf(plan.name)).some(({ pid }) => isPaused(pid))) return [];
  const nodes = plan.clusters.flatMap((cluster) => cluster.nodes);
  return nodes.flatMap((node) => {
    const names = new Set(pausedOn(plan, node).map(({ name }) => name));
    return [...names].map((program) => ({ kind: 'paused', target: node.name, program }) as const);
  });
}
