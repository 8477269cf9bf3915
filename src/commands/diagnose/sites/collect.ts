import { GATEWAY_COMPONENT, ROUTEAGENT_COMPONENT } from '../../../api/names.ts';
import type { KernelReport, ProbeTarget } from '../../../host/prober/protocol.ts';
import type { NodeLook } from '../../../host/look.ts';
import { ExpectedError, UsageError } from '../../../runtime/errors.ts';
import type { CommandRun } from '../../context.ts';
import { discoverNetwork } from '../../discovery/index.ts';
import { chooseImages, type ImageOptions } from '../../join/images.ts';
import {
  refuseWhenInterrupted,
  withTestPods,
  type TestPod,
  type TestPodRequest,
  type TestPods,
} from '../../testpods/run.ts';
import { sendProbes } from '../../testpods/send.ts';
import { orReason } from '../../testpods/told.ts';
import type { Deadline } from '../../waiting.ts';
import { podsByNode, type DiagnosedCluster } from '../cluster.ts';
import { at, meetAll, takenOf, wayOf, type Place } from './meeting.ts';
import type { Site, Size, Survey, Way } from './model.ts';
import { planSite, planWays, podLinkBytes, type SiteWishes } from './plan.ts';

const EXEC_MS = 30_000;
/** Longest wait for one answer to a large packet. */
const ANSWER_MS = 1500;

/** What a survey is limited by, and what a join to come would be given. */
export interface SurveyOptions extends ImageOptions {
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly testPods: boolean;
  /** Gateways of each cluster. */
  readonly maxNodes: number;
  readonly wishes: SiteWishes;
}

async function podCidrsOf({ submariner, client }: DiagnosedCluster): Promise<readonly string[]> {
  if (submariner !== undefined) return submariner.spec.clusterCIDR.split(',').filter((cidr) => cidr !== '');
  return (await discoverNetwork(client)).podCidrs.map(({ cidr }) => cidr);
}

async function readSite(cluster: DiagnosedCluster, wishes: SiteWishes): Promise<Site> {
  const { clusterId, submariner, facts } = cluster;
  const [nodes, pods, podCidrs] = await Promise.all([facts.nodes(), facts.pods(), podCidrsOf(cluster)]);
  const running = podsByNode(pods, GATEWAY_COMPONENT).size > 0;
  return planSite({ clusterId, submariner, nodes, podCidrs, running }, wishes);
}

/** The image that runs already, else the one that join would deploy. */
async function imageOf(
  { facts }: DiagnosedCluster,
  options: SurveyOptions,
  version: string,
): Promise<Pick<TestPodRequest['plan'], 'image' | 'imagePullPolicy'>> {
  const agents = (await facts.daemonSets()).find(({ metadata }) => metadata.name === ROUTEAGENT_COMPONENT);
  const container = agents?.spec.template.spec.containers[0] as
    { readonly image?: string; readonly imagePullPolicy?: string } | undefined;
  if (container?.image === undefined) {
    const { routeAgent, pullPolicy } = chooseImages(options, version);
    return { image: routeAgent, imagePullPolicy: pullPolicy };
  }
  const { image, imagePullPolicy } = container;
  return imagePullPolicy === undefined ? { image } : { image, imagePullPolicy };
}

async function request(
  cluster: DiagnosedCluster,
  site: Site,
  image: Pick<TestPodRequest['plan'], 'image' | 'imagePullPolicy'>,
): Promise<TestPodRequest> {
  const nodes = site.gateways.map(({ name }) => name);
  const plan = { ...image, nodes, hostNetwork: true, networkAdmin: true, args: ['probe', 'wait'] };
  return { client: cluster.client, context: cluster.name, clusterId: cluster.clusterId, plan };
}

function placesOf(sites: readonly Site[], pods: readonly TestPod[]): readonly Place[] {
  return sites.flatMap(({ gateways }) =>
    gateways.flatMap((gateway) => {
      const pod = pods.find(({ clusterId, node }) => clusterId === gateway.cluster && node === gateway.name);
      if (pod === undefined) return [];
      return [{ gateway, mouth: { client: pod.client, namespace: pod.namespace, pod: pod.name } }];
    }),
  );
}

/** Runs a verb of the prober that prints one line of JSON. */
async function ask<T>({ mouth }: Place, verb: string, signal: AbortSignal): Promise<T> {
  const command = ['routeagent', 'probe', verb];
  const { stdout, stderr, exitCode } = await mouth.client.exec(mouth.namespace, mouth.pod, command, {
    timeoutMs: EXEC_MS,
    signal,
  });
  const line = stdout.split('\n').find((one) => one.startsWith('{'));
  if (exitCode === 0 && line !== undefined) return JSON.parse(line) as T;
  throw new ExpectedError(/ERROR (.*)/.exec(stderr)?.[1] ?? `probe ${verb} ended with ${exitCode}`);
}

async function askKernels(places: readonly Place[], signal: AbortSignal): Promise<Survey['kernels']> {
  return Promise.all(
    places.map(async (place) => {
      const report = await orReason(ask<KernelReport>(place, 'kernel', signal));
      return typeof report === 'string'
        ? { ...at(place), report: undefined, failure: report }
        : { ...at(place), report, failure: '' };
    }),
  );
}

async function askPodLinks(
  places: readonly Place[],
  sites: readonly Site[],
  signal: AbortSignal,
): Promise<Survey['podLinks']> {
  const all = await Promise.all(
    places.map(async (place) => {
      const look = await orReason(ask<NodeLook>(place, 'look', signal));
      const podCidrs = sites.find(({ clusterId }) => clusterId === place.gateway.cluster)?.podCidrs ?? [];
      const links = typeof look === 'string' ? [] : (look.node?.links ?? []);
      const mtuBytes = podLinkBytes(links, podCidrs);
      return mtuBytes === undefined ? [] : [{ ...at(place), mtuBytes }];
    }),
  );
  return all.flat();
}

/** Measures the largest packet between gateways, at the address that answered. */
async function measureSizes(
  places: readonly Place[],
  sites: readonly Site[],
  { ways, signal }: { readonly ways: readonly Way[]; readonly signal: AbortSignal },
): Promise<readonly Size[]> {
  const all = await Promise.all(
    places.map(async (place) => {
      const others = sites.filter(({ clusterId }) => clusterId !== place.gateway.cluster);
      const targets = others
        .flatMap(({ gateways }) => gateways)
        .map((to, index) => {
          const answered = ways.find(
            ({ shot, arrived }) => shot.from.node === place.gateway.name && shot.to.node === to.name && arrived === 1,
          );
          const address = answered?.shot.to.address ?? to.addresses[0] ?? '';
          const target: ProbeTarget = { id: `m${index}`, address, pathMtu: {} };
          return { to: { cluster: to.cluster, node: to.name, address }, target };
        });
      if (targets.length === 0) return [];
      const order = { targets: targets.map(({ target }) => target), timeoutMs: ANSWER_MS };
      const { reports, failure } = await sendProbes(place.mouth, order, { signal, timeoutMs: EXEC_MS * 2 });
      return targets.map(({ to, target }) => ({
        from: at(place),
        to,
        report: reports.get(target.id)?.pathMtu,
        failure: reports.has(target.id) ? '' : failure,
      }));
    }),
  );
  return all.flat();
}

async function look(run: CommandRun, sites: readonly Site[], pods: TestPods, signal: AbortSignal): Promise<Survey> {
  const places = placesOf(sites, pods.ready);
  const where = places.length === 1 ? '1 gateway node' : `${places.length} gateway nodes`;
  return run.reporter.step(`Looking around on ${where}`, async (step) => {
    const kernels = await askKernels(places, signal);
    const podLinks = await askPodLinks(places, sites, signal);
    const planned = planWays(sites);
    const met = await meetAll(run, places, planned, { signal, sites });
    const ways = planned.flatMap((way) => wayOf(way, met) ?? []);
    const sizes = await measureSizes(places, sites, { ways, signal });
    // What was cut short is no finding.
    refuseWhenInterrupted(signal);
    step.done(`Looked around on ${where}`);
    const failed = pods.problems.map(({ clusterId, node, reason }) => ({
      cluster: clusterId,
      node,
      report: undefined,
      failure: `the probe pod does not run: ${reason}`,
    }));
    return { sites, untried: '', kernels: [...kernels, ...failed], taken: met.flatMap(takenOf), ways, sizes, podLinks };
  });
}

function refuseUnknownNodes(wishes: SiteWishes, sites: readonly Site[]): void {
  const known = sites.flatMap(({ gateways }) => gateways.map(({ name }) => name));
  const unknown = wishes.gatewayNodes.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new UsageError(`--gateway-nodes: no cluster has a node ${unknown.join(', ')}`);
}

/**
 * Runs a probe pod on every node that is a gateway or would become one, in the network of the node, and finds out what
 * join will meet: ports, sizes of packets, what the kernels offer. Everything is removed again.
 */
export async function surveySites(
  run: CommandRun,
  clusters: readonly DiagnosedCluster[],
  options: SurveyOptions,
): Promise<Survey> {
  const { wishes, testPods, deadline, signal } = options;
  const all = await Promise.all(clusters.map(async (cluster) => readSite(cluster, wishes)));
  refuseUnknownNodes(wishes, all);
  const sites = all.map((site) => ({ ...site, gateways: site.gateways.slice(0, options.maxNodes) }));
  const nothing = { sites, kernels: [], taken: [], ways: [], sizes: [], podLinks: [] };
  if (!testPods) return { ...nothing, untried: '--no-test-pods was given, and it takes pods on the gateway nodes' };
  const requests = await Promise.all(
    clusters.map(async (cluster, index) => {
      const site = sites[index];
      if (site === undefined || site.gateways.length === 0) return [];
      return [await request(cluster, site, await imageOf(cluster, options, run.context.version))];
    }),
  );
  if (requests.flat().length === 0) return { ...nothing, untried: 'no node can be a gateway' };
  return withTestPods(run, requests.flat(), { deadline, signal }, async (pods) => look(run, sites, pods, signal));
}
