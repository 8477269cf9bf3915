import { parseReports, type ProbeOrder, type ProbeReport } from '../../host/prober/protocol.ts';
import type { KubeClient } from '../../kube/client.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** A pod with the prober in it, from which packets are sent. */
export interface Mouth {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly pod: string;
}

interface Limits {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** What a run of `probe send` brought; `failure` says why reports are missing. */
export interface Sent {
  readonly reports: ReadonlyMap<string, ProbeReport>;
  readonly failure: string;
}

/** What a program says in its log before it leaves, without time and level. */
function complaint(stderr: string): string {
  const [, said] = /^\S+ ERROR (.*)$/m.exec(stderr) ?? [];
  return (said ?? stderr).trim();
}

/** Sends test packets from a pod; what goes wrong is told in `failure`. */
export async function sendProbes(mouth: Mouth, order: ProbeOrder, { signal, timeoutMs }: Limits): Promise<Sent> {
  const options = { signal, timeoutMs, stdin: Promise.resolve(`${JSON.stringify(order)}\n`) };
  try {
    const command = ['routeagent', 'probe', 'send'];
    const { stdout, stderr, exitCode } = await mouth.client.exec(mouth.namespace, mouth.pod, command, options);
    const reports = new Map(parseReports(stdout).map((report) => [report.id, report]));
    const failure = exitCode === 0 ? '' : `the prober ended with ${exitCode}: ${complaint(stderr)}`;
    return { reports, failure };
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    return { reports: new Map(), failure: error.message };
  }
}

/**
 * Measures from a pod (`probe flow|latency|throughput`) and gives the report. What is written to standard input, once
 * `stdin` resolves, ends a flow. Rejects with ExpectedError when the measurement was not possible.
 */
export async function measure(
  mouth: Mouth,
  verb: 'flow' | 'latency' | 'throughput',
  order: object,
  { signal, timeoutMs, stdin }: Limits & { readonly stdin?: Promise<string> },
): Promise<unknown> {
  const command = ['routeagent', 'probe', verb, JSON.stringify(order)];
  const options = { signal, timeoutMs, ...(stdin === undefined ? {} : { stdin }) };
  const { stdout, stderr, exitCode } = await mouth.client.exec(mouth.namespace, mouth.pod, command, options);
  if (exitCode !== 0) throw new ExpectedError(complaint(stderr) || `probe ${verb} ended with ${exitCode}`);
  return JSON.parse(stdout) as unknown;
}
