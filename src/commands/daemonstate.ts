import type { DaemonName, DaemonState } from '../api/daemonstate.ts';
import { GATEWAY_COMPONENT, OPERATOR_NAMESPACE, ROUTEAGENT_COMPONENT } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Pod } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { ExpectedError } from '../runtime/errors.ts';

/** Which daemon is asked. */
export interface DaemonTarget<Name extends DaemonName> {
  readonly node: string;
  readonly daemon: Name;
}

/** The DaemonSet, and with it label `app` and container, of each daemon. */
export const DAEMON_COMPONENTS = {
  engine: GATEWAY_COMPONENT,
  routeagent: ROUTEAGENT_COMPONENT,
} as const satisfies Readonly<Record<DaemonName, string>>;

const EXEC_MS = 20_000;

export interface ReadOptions {
  readonly signal?: AbortSignal;
  /** Pods of the daemons, when they are known already. */
  readonly pods?: readonly Pod[];
}

/** The state of one daemon. */
export type StateOf<Name extends DaemonName> = Extract<DaemonState, { readonly daemon: Name }>;

/**
 * What the daemon of a node says of itself now (its /debug/state, asked for through its pod). Rejects with ExpectedError
 * when it has no running pod there, or one that does not answer; that says nothing about the node's network.
 */
export async function readDaemonState<Name extends DaemonName>(
  { client }: { readonly client: KubeClient },
  target: DaemonTarget<Name>,
  { signal, pods }: ReadOptions = {},
): Promise<StateOf<Name>> {
  const { daemon, node } = target;
  const component = DAEMON_COMPONENTS[daemon];
  const pod = runningPod(pods ?? (await podsOf(client, component)), component, node);
  const command = [daemon, '--debug-state'];
  const options = { container: component, timeoutMs: EXEC_MS, ...(signal === undefined ? {} : { signal }) };
  const { exitCode, stdout, stderr } = await client.exec(OPERATOR_NAMESPACE, pod, command, options);
  if (exitCode === 0) return parseDaemonState(stdout, target);
  throw new ExpectedError(
    `pod ${pod} on node ${node} does not tell its state: ${firstLine(stderr) || `${command.join(' ')} ended with ${exitCode}`}`,
    { hint: `kubectl -n ${OPERATOR_NAMESPACE} logs ${pod} tells more.` },
  );
}

/** The answer as a state; throws ExpectedError when it is none of that daemon. */
export function parseDaemonState<Name extends DaemonName>(text: string, target: DaemonTarget<Name>): StateOf<Name> {
  const { daemon, node } = target;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new ExpectedError(`the state of the ${daemon} on node ${node} is not JSON`, { cause });
  }
  if (isStateOf(parsed, daemon)) return parsed;
  throw new ExpectedError(`what was read is not the state of the ${daemon} on node ${node}`);
}

function isStateOf<Name extends DaemonName>(value: unknown, daemon: Name): value is StateOf<Name> {
  if (typeof value !== 'object' || value === null) return false;
  const state = value as Partial<Record<keyof DaemonState, unknown>>;
  const parts = [state.inputs, state.desired, state.observed];
  return state.daemon === daemon && parts.every((part) => typeof part === 'object' && part !== null);
}

async function podsOf(client: KubeClient, component: string): Promise<readonly Pod[]> {
  const options = { namespace: OPERATOR_NAMESPACE, labelSelector: `app=${component}` };
  return (await client.list<Pod>(RESOURCES.pods, options)).items;
}

function runningPod(pods: readonly Pod[], component: string, node: string): string {
  const here = pods.filter(({ metadata, spec }) => metadata.labels?.['app'] === component && spec.nodeName === node);
  const running = here.find(
    ({ status, metadata }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
  );
  if (running?.metadata.name !== undefined) return running.metadata.name;
  const phases = here.map(({ metadata, status }) => `${metadata.name} is ${status?.phase ?? 'Pending'}`);
  throw new ExpectedError(
    here.length === 0
      ? `no pod of ${component} runs on node ${node}`
      : `no pod of ${component} is running on node ${node}: ${phases.join(', ')}`,
    { hint: `Look at: kubectl -n ${OPERATOR_NAMESPACE} get pods -l app=${component} -o wide` },
  );
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}
