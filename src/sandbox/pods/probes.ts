import { spawn } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Container, Probe } from '../../kube/objects.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Environment } from '../../runtime/process.ts';
import type { PodmanContainer } from '../podman/home.ts';
import { podmanExec } from '../podman/podman.ts';
import type { ContainerProcess } from './launch.ts';

/** What is probed: a container's process, reached at the pod's address from the node. */
export interface ProbeTarget {
  readonly container: Container;
  readonly podIP: string;
  readonly process: ContainerProcess;
  readonly env: Readonly<Record<string, string>>;
}

const PERIOD_SECONDS = 10;

/** A command line, and the environment it is run with. */
export interface BesideCommand {
  readonly command: readonly string[];
  readonly env: Environment;
}

/** What runs a program beside a container's process: same files, network and host name; with podman the same rights, too. */
export function besideCommand(
  process: { readonly pid: number; readonly container?: PodmanContainer | undefined },
  command: readonly string[],
  env: Environment,
): BesideCommand {
  const { pid, container } = process;
  if (container !== undefined) return podmanExec(container, command);
  return { command: ['nsenter', `--target=${pid}`, '--mount', '--net', '--uts', '--wd=/', '--', ...command], env };
}

function portNumber(port: number | string, container: Container): number {
  if (typeof port === 'number') return port;
  return (container.ports ?? []).find((one) => one.name === port)?.containerPort ?? Number(port);
}

function probeExec(command: readonly string[], target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  const { identity, container } = target.process;
  const beside = besideCommand({ pid: identity.pid, container }, command, target.env);
  const [file = '', ...args] = beside.command;
  return new Promise((resolve) => {
    const child = spawn(file, args, { env: { ...beside.env }, stdio: 'ignore', timeout: timeoutMs });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}

function probeHttp(probe: NonNullable<Probe['httpGet']>, target: ProbeTarget, timeoutMs: number): Promise<boolean> {
  const secure = probe.scheme?.toUpperCase() === 'HTTPS';
  const options = {
    host: probe.host ?? target.podIP,
    port: portNumber(probe.port, target.container),
    path: probe.path ?? '/',
    timeout: timeoutMs,
    agent: false,
    headers: { 'user-agent': 'kube-probe/sandbox' },
  } as const;
  return new Promise((resolve) => {
    const call = secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    call.once('response', (response) => {
      response.resume();
      const { statusCode = 500 } = response;
      resolve(statusCode >= 200 && statusCode < 400);
    });
    call.once('timeout', () => call.destroy(new Error('timeout')));
    call.once('error', () => resolve(false));
    call.end();
  });
}

function probeTcp(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const finish = (good: boolean): void => {
      socket.destroy();
      resolve(good);
    };
    socket.once('connect', () => finish(true));
    socket.once('timeout', () => finish(false));
    socket.once('error', () => finish(false));
  });
}

/** One probe: true when it succeeds within its timeout. Never rejects; a probe of an unknown kind fails. */
export async function probeOnce(probe: Probe, target: ProbeTarget): Promise<boolean> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.exec !== undefined) return probeExec(probe.exec.command ?? [], target, timeoutMs);
  if (probe.httpGet !== undefined) return probeHttp(probe.httpGet, target, timeoutMs);
  if (probe.tcpSocket === undefined) return false;
  const { host, port } = probe.tcpSocket;
  return probeTcp(host ?? target.podIP, portNumber(port, target.container), timeoutMs);
}

/** Probes until the signal is aborted and reports every change of the verdict; `undefined` until there is one. */
export async function runProbe(
  probe: Probe,
  target: ProbeTarget,
  clock: Clock,
  signal: AbortSignal,
  report: (good: boolean) => void,
): Promise<void> {
  const { initialDelaySeconds = 0, periodSeconds = PERIOD_SECONDS } = probe;
  const periodMs = Math.max(1, periodSeconds) * 1000;
  const judge = createJudge(probe);
  await clock.sleep(initialDelaySeconds * 1000, signal);
  while (!signal.aborted) {
    const good = await probeOnce(probe, target);
    if (signal.aborted) return;
    const before = judge.verdict;
    if (judge.take(good) !== before) report(good);
    // A container that is about to become ready is asked more often than its period.
    await clock.sleep(judge.verdict === undefined ? Math.min(periodMs, 1000) : periodMs, signal);
  }
}

interface Judge {
  readonly verdict: boolean | undefined;
  take(good: boolean): boolean | undefined;
}

/** Changes its verdict after as many equal answers in a row as the probe asks for. */
function createJudge({ successThreshold = 1, failureThreshold = 3 }: Probe): Judge {
  let verdict: boolean | undefined;
  let last: boolean | undefined;
  let streak = 0;
  return {
    get verdict() {
      return verdict;
    },
    take: (good) => {
      streak = good === last ? streak + 1 : 1;
      last = good;
      if (streak >= (good ? successThreshold : failureThreshold)) verdict = good;
      return verdict;
    },
  };
}
