import { failedIf, ok, skipped, warningIf, type Check, type CheckContext, type Outcome } from './check.ts';
import type { Site, Survey } from './sites/model.ts';
import {
  describeKernels,
  describeSizes,
  judgeKernels,
  judgePorts,
  judgeSizes,
  judgeWays,
  type Judgement,
} from './sites/judge.ts';

/** A check of what was found out on the gateway nodes of a cluster. */
function onSite(
  judge: (survey: Survey, site: Site, context: CheckContext) => Outcome,
): (context: CheckContext) => Promise<Outcome> {
  return async (context) => {
    const survey = await context.sites();
    const site = survey.sites.find(({ clusterId }) => clusterId === context.cluster.clusterId);
    if (survey.untried !== '') return skipped(survey.untried);
    if (site === undefined || site.gateways.length === 0) return skipped(site?.problem || 'no node is a gateway');
    return judge(survey, site, context);
  };
}

function outcomeOf({ failures, warnings }: Judgement, message: string): Outcome {
  return failures.length > 0 ? failedIf([...failures, ...warnings]) : warningIf(warnings, message);
}

const ALONE = 'it takes two clusters: --contexts east,west';
const RUNNING = 'a gateway engine runs and has the ports; subctl diagnose firewall and mtu look at them';

/** Why nothing was exchanged with the gateways of other clusters; undefined when something was. */
function hindrance({ sites, kernels, taken }: Survey, site: Site): string | undefined {
  const others = sites.filter((one) => one !== site);
  if (others.length === 0) return ALONE;
  if (others.every(({ gateways }) => gateways.length === 0)) return 'no other cluster has a node that can be a gateway';
  const silent = kernels.filter(({ failure }) => failure !== '');
  if (silent.length > 0) return `no probe pod answers on ${silent.map(({ node }) => node).join(', ')}`;
  if (taken.length > 0) return `ports are taken: ${taken.map(({ node, port }) => `${port} of ${node}`).join(', ')}`;
  return undefined;
}

function udp(survey: Survey, site: Site): Outcome {
  const isRunning = survey.sites.some(({ running }) => running);
  const ways = survey.ways.filter(({ shot }) => shot.from.cluster === site.clusterId);
  if (ways.length === 0) return skipped(isRunning ? RUNNING : (hindrance(survey, site) ?? 'there is no way to try'));
  const ports = [...new Set(ways.map(({ shot }) => shot.port))].toSorted((a, b) => a - b);
  return outcomeOf(judgeWays(survey, site.clusterId), `UDP ${ports.join(', ')}`);
}

function mtu(survey: Survey, site: Site): Outcome {
  const sizes = survey.sizes.filter(({ from }) => from.cluster === site.clusterId);
  const known = sizes.filter(({ report }) => (report?.largestBytes ?? null) !== null);
  if (sizes.length === 0) return skipped(hindrance(survey, site) ?? 'there is no way to measure');
  if (known.length === 0) {
    const why = sizes.find(({ failure }) => failure !== '')?.failure;
    return skipped(
      why ?? `${sizes.map(({ to }) => to.address).join(', ')}: no answer to echo requests, by which sizes are measured`,
    );
  }
  return outcomeOf(judgeSizes(survey, site), describeSizes(known, site.driver));
}

function ports(survey: Survey, site: Site): Outcome {
  if (site.running) return skipped(RUNNING);
  const seen = survey.kernels.filter(({ cluster, failure }) => cluster === site.clusterId && failure === '');
  if (seen.length === 0) return skipped('no probe pod answers');
  const asked = site.gateways.map(({ name }) => name).join(', ');
  const note = site.note === '' ? '' : `; ${site.note}`;
  return failedIf(judgePorts(survey, site.clusterId), `${asked}${note}`);
}

function kernel(survey: Survey, site: Site): Outcome {
  const findings = judgeKernels(survey, site);
  return findings.length > 0 ? failedIf(findings) : ok(describeKernels(survey, site.clusterId));
}

/** What probe pods on the nodes that would be gateways find out before a cluster joins. */
export const PRE_SITE_CHECKS: readonly Check[] = [
  {
    category: 'pre',
    name: 'kernel',
    title: 'The kernels of the gateway nodes have what the cable driver needs',
    hint: 'Look at the node: modprobe -a esp4 xfrm_interface wireguard vxlan nf_tables tun.',
    joinedOnly: false,
    run: onSite(kernel),
  },
  {
    category: 'pre',
    name: 'ports',
    title: 'The UDP ports of gateways are free on the gateway nodes',
    hint: 'Stop the program that has the port, or choose another one with join --nattport.',
    joinedOnly: false,
    run: onSite(ports),
  },
  {
    category: 'pre',
    name: 'udp',
    title: 'UDP packets pass between the gateway nodes, both directions',
    hint:
      'Open these UDP ports between the gateway nodes, both directions (docs/ports.md). When only one side can be reached ' +
      'by the other, let it wait: join --preferred-server.',
    joinedOnly: false,
    run: onSite(udp),
  },
  {
    category: 'pre',
    name: 'mtu',
    title: 'The network between the gateway nodes carries the packets of tunnels whole',
    hint: 'Set the MTU of the link of each gateway node to what the network carries.',
    joinedOnly: false,
    run: onSite(mtu),
  },
];
