import { readFileSync } from 'node:fs';
import { ExpectedError, UsageError, messageOf } from '../runtime/errors.ts';
import { runDaemon, type DaemonMain } from '../runtime/process.ts';
import type { ControlPlaneConfig } from './controlplane-config.ts';
import type { NodeConfig } from './node/config.ts';
import type { RelayConfig } from './relay.ts';
import type { DelayConfig } from './workloads/delay.ts';

/** Reads the JSON file a sandbox process is configured with. */
function readConfig(args: readonly string[]): unknown {
  const file = args[args.indexOf('--config') + 1];
  if (!args.includes('--config') || file === undefined) throw new UsageError('--config FILE is missing');
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as unknown;
  } catch (error) {
    throw new ExpectedError(`cannot read the configuration ${file}: ${messageOf(error)}`, { cause: error });
  }
}

type Program = (args: readonly string[]) => Promise<DaemonMain>;

const PROGRAMS: Readonly<Record<string, Program>> = {
  node: async (args) => {
    const { runNode } = await import('./node/agent.ts');
    return (signal, logger) => runNode(readConfig(args) as NodeConfig, signal, logger);
  },
  delay: async (args) => {
    const { runDelay } = await import('./workloads/delay.ts');
    return (signal, logger) => runDelay(readConfig(args) as DelayConfig, signal, logger);
  },
  echo: async () => {
    const { echoConfig, runEcho } = await import('./workloads/echo.ts');
    return (signal, logger, env) => runEcho(echoConfig(env), signal, logger);
  },
  client: async () => {
    const { runClient } = await import('./workloads/echo.ts');
    return (signal) => runClient(signal);
  },
  probe: async (args) => {
    const { runProbe } = await import('./probe.ts');
    return () => runProbe(args, (line) => void process.stdout.write(line));
  },
  traffic: async (args) => {
    const { runTraffic } = await import('./traffic/traffic.ts');
    return (signal) => runTraffic(args, signal, (line) => void process.stdout.write(line));
  },
  controlplane: async (args) => {
    const { runControlPlane } = await import('./controlplane.ts');
    return (signal, logger) => runControlPlane(readConfig(args) as ControlPlaneConfig, signal, logger);
  },
  relay: async (args) => {
    const { runRelay } = await import('./relay.ts');
    return (signal, logger) => runRelay(readConfig(args) as RelayConfig, signal, logger);
  },
};

/** Starts one of the programs a sandbox is made of: `controlplane|node|relay --config FILE`, or a workload of a pod. */
export async function main(argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  const [name = '', ...args] = argv;
  const program = PROGRAMS[name];
  await runDaemon(
    program === undefined
      ? () => Promise.reject(new UsageError(`"${name}" is none of ${Object.keys(PROGRAMS).join(', ')}`))
      : await program(args),
  );
}
