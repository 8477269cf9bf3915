import type { KubeClient } from '../../kube/client.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import type { DiscoveredNetwork, FoundCidr } from '../discovery/index.ts';
import { cidrProblem, type ClusterNetworks, parseCidrFlag } from './cidrs.ts';
import type { JoinOptions } from './options.ts';

interface Choice {
  readonly cidrs: readonly string[];
  readonly source: string;
}

/** Pod and service CIDRs of the joining cluster: from flags, else discovered, else asked for on a terminal. */
export async function chooseNetworks(
  run: CommandRun,
  client: KubeClient,
  options: JoinOptions,
): Promise<ClusterNetworks> {
  const given = {
    pods: fromFlag('--clustercidr', options.clustercidr),
    services: fromFlag('--servicecidr', options.servicecidr),
  };
  const found = await discover(run, client, given);
  const pods = given.pods ?? (await fromDiscovery(run, 'pod', '--clustercidr', found?.podCidrs ?? []));
  const services = given.services ?? (await fromDiscovery(run, 'service', '--servicecidr', found?.serviceCidrs ?? []));
  return {
    podCidrs: pods.cidrs,
    podSource: pods.source,
    serviceCidrs: services.cidrs,
    serviceSource: services.source,
    plugin: found?.plugin ?? 'unknown',
  };
}

function fromFlag(flag: string, text: string | undefined): Choice | undefined {
  return text === undefined ? undefined : { cidrs: parseCidrFlag(flag, text), source: flag };
}

/** The CNI is wanted in any case; without it a failure only matters when CIDRs are missing. */
async function discover(
  run: CommandRun,
  client: KubeClient,
  given: { readonly pods: Choice | undefined; readonly services: Choice | undefined },
): Promise<DiscoveredNetwork | undefined> {
  const required = given.pods === undefined || given.services === undefined;
  const { discoverNetwork } = await import('../discovery/index.ts');
  return run.reporter.step('Discovering the networks of the cluster', async (step) => {
    try {
      const found = await discoverNetwork(client);
      for (const problem of found.problems) if (concerns(problem, given)) run.reporter.warn(problem);
      step.done(`The network plugin is ${found.plugin}`);
      return found;
    } catch (error) {
      if (required) throw error;
      return undefined;
    }
  });
}

async function fromDiscovery(
  run: CommandRun,
  what: string,
  flag: string,
  found: readonly FoundCidr[],
): Promise<Choice> {
  const first = found[0];
  if (first !== undefined) {
    const cidrs = found.map(({ cidr }) => cidr);
    const source = [...new Set(found.map((one) => one.source))].join(', ');
    run.reporter.info(`   ${what} CIDRs ${cidrs.join(', ')} (${source})`);
    return { cidrs, source };
  }
  const { terminal, prompter } = run.context;
  if (!terminal.interactive || run.flags.yes) {
    throw new ExpectedError(`the ${what} CIDRs of the cluster could not be discovered`, {
      hint: `Give them with ${flag}, for example ${flag} ${what === 'pod' ? '10.42.0.0/16' : '10.43.0.0/16'}. Nothing was changed.`,
    });
  }
  const answer = await prompter.text(`What are the ${what} CIDRs of the cluster (comma-separated)?`, (text) =>
    text === ''
      ? 'Give at least one.'
      : text
          .split(',')
          .map((cidr) => cidrProblem(cidr.trim()))
          .find(Boolean),
  );
  return { cidrs: parseCidrFlag(flag, answer), source: flag };
}

/** Whether a doubt is about something that is taken from discovery. */
function concerns(problem: string, given: { readonly pods: unknown; readonly services: unknown }): boolean {
  if (/\bpod CIDR/.test(problem)) return given.pods === undefined;
  if (/\bservice CIDR/.test(problem)) return given.services === undefined;
  return given.pods === undefined || given.services === undefined;
}
