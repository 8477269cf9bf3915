import { clusterIdProblem } from '../api/clusterid.ts';
import { ENDPOINT_PORTS } from '../api/daemonstate.ts';
import { canonicalCidr } from '../net/cidr.ts';
import { readConfig, type ConfigReader } from '../runtime/config.ts';
import { readEndpointsAddress } from '../runtime/endpoints.ts';
import { UsageError } from '../runtime/errors.ts';
import type { Environment } from '../runtime/process.ts';
import type { RouteAgentConfig } from './routeagent.ts';

function cidrs(
  read: ConfigReader,
  name: string,
  options: { readonly default?: readonly string[] } = {},
): readonly string[] {
  return read.list(name, options).flatMap((text) => {
    const canonical = canonicalCidr(text);
    if (canonical === undefined) read.mistake(`${name}: ${JSON.stringify(text)} is not a CIDR`);
    return canonical ?? [];
  });
}

function parseClusterId(text: string): string {
  const problem = clusterIdProblem(text);
  if (problem !== undefined) throw new UsageError(problem);
  return text;
}

/** The version this program was built as; `dev` when it runs from sources. */
function builtVersion(): string {
  // @ts-expect-error the bundler replaces this expression by the version
  const built: unknown = globalThis.SUBCTL_VERSION;
  return typeof built === 'string' ? built : 'dev';
}

/** Where the route agent keeps what it has to remember about its node; shared with the engine. */
export function stateDirOf(env: Environment): string {
  return env['SUBMARINER_STATE_DIR'] || '/var/lib/submariner';
}

/** Reads the environment as upstream's route agent has it; throws one UsageError that lists every mistake. */
export function readRouteAgentConfig(env: Environment): RouteAgentConfig {
  return readConfig(env, (read) => ({
    clusterId: read.parsed('SUBMARINER_CLUSTERID', parseClusterId, ''),
    nodeName: read.string('NODE_NAME'),
    namespace: read.string('SUBMARINER_NAMESPACE'),
    version: builtVersion(),
    serve: readEndpointsAddress(read, ENDPOINT_PORTS.routeagent),
    podCidrs: cidrs(read, 'SUBMARINER_CLUSTERCIDR'),
    serviceCidrs: cidrs(read, 'SUBMARINER_SERVICECIDR', { default: [] }),
    healthCheck: {
      enabled: read.boolean('SUBMARINER_HEALTHCHECKENABLED', { default: true }),
      intervalMs: read.integer('SUBMARINER_HEALTHCHECKINTERVAL', { default: 1, min: 1, max: 3600 }) * 1000,
      maxLosses: read.integer('SUBMARINER_HEALTHCHECKMAXPACKETLOSSCOUNT', { default: 5, min: 1, max: 1000 }),
    },
  }));
}

/** Whether this run is to remove what the route agent made on the node. */
export function isCleanup(env: Environment, args: readonly string[]): boolean {
  return (
    args.includes('--cleanup') || readConfig(env, (read) => read.boolean('SUBMARINER_UNINSTALL', { default: false }))
  );
}
