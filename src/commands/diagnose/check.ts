import type { CommandRun } from '../context.ts';
import type { Deadline } from '../waiting.ts';
import type { DiagnosedCluster } from './cluster.ts';
import type { ShotResult } from './shots/model.ts';
import type { Survey } from './sites/model.ts';
import type { Traffic } from './traffic/model.ts';

/** What checks are about, in the order in which they run. */
export const CATEGORIES = [
  'pre',
  'k8s',
  'cni',
  'kube-proxy',
  'deployment',
  'gateway',
  'broker',
  'routes',
  'firewall',
  'connections',
  'mtu',
] as const;
export type Category = (typeof CATEGORIES)[number];

/** One thing that is not as it should be. */
export interface Finding {
  /** What is at fault: a node, pod, object. */
  readonly object: string;
  readonly reason: string;
  /** What mends it, when that is not what the check itself says. */
  readonly hint?: string;
}

/** What a check found. */
export type Outcome =
  | { readonly status: 'ok'; readonly message?: string }
  | { readonly status: 'warning' | 'failed'; readonly findings: readonly Finding[] }
  | { readonly status: 'skipped'; readonly reason: string };

/** What a check may look at. */
export interface CheckContext {
  readonly run: CommandRun;
  readonly cluster: DiagnosedCluster;
  /** The other clusters of the same set that are looked at. */
  readonly others: readonly DiagnosedCluster[];
  /** All clusters that are looked at, whatever set they are in. */
  readonly everyone: readonly DiagnosedCluster[];
  readonly deadline: Deadline;
  /** Aborted by an interruption. */
  readonly signal: AbortSignal;
  /** Whether the operator named this cluster, so that one that has not joined is a mistake. */
  readonly chosen: boolean;
  /** What became of test packets; they are sent once for all checks. */
  readonly traffic: () => Promise<Traffic>;
  /** What became of UDP packets to our ports; they are sent once for all checks. */
  readonly shots: () => Promise<readonly ShotResult[]>;
  /** What probe pods on gateway nodes, or nodes that would be, found out; they are started once for all clusters. */
  readonly sites: () => Promise<Survey>;
}

/** Something that can be right or wrong with a cluster, as data. */
export interface Check {
  readonly category: Category;
  /** Unique within its category; with it, the anchor on the page docs/diagnose.md. */
  readonly name: string;
  /** The sentence that is true when all is well. */
  readonly title: string;
  /** What mends it, with the command. */
  readonly hint: string;
  /** Whether it makes sense only in a cluster that has joined. */
  readonly joinedOnly: boolean;
  readonly run: (context: CheckContext) => Promise<Outcome>;
}

/** Page and fragment where a check is explained. */
export function anchorOf({ category, name }: Pick<Check, 'category' | 'name'>): string {
  return `docs/diagnose.md#${category}-${name}`;
}

/** All is well, with what was seen. */
export function ok(message?: string): Outcome {
  return message === undefined ? { status: 'ok' } : { status: 'ok', message };
}

/** Could not be looked at, or does not apply. */
export function skipped(reason: string): Outcome {
  return { status: 'skipped', reason };
}

/** Failed when there are findings, else ok. */
export function failedIf(findings: readonly Finding[], message?: string): Outcome {
  return findings.length === 0 ? ok(message) : { status: 'failed', findings };
}

/** A warning when there are findings, else ok. */
export function warningIf(findings: readonly Finding[], message?: string): Outcome {
  return findings.length === 0 ? ok(message) : { status: 'warning', findings };
}
