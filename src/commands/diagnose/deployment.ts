import { GATEWAY_COMPONENT, OPERATOR_NAMESPACE, ROUTEAGENT_COMPONENT } from '../../api/names.ts';
import type { DaemonSet, Pod } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { daemonSetProgress, podTrouble } from '../join/ready.ts';
import {
  failedIf,
  ok,
  skipped,
  warningIf,
  type Check,
  type CheckContext,
  type Finding,
  type Outcome,
} from './check.ts';
import { isReadyNode, podsByNode } from './cluster.ts';

/** Restarts from which on a container counts as unsteady, as upstream has it. */
const MANY_RESTARTS = 5;
const KINDS = [RESOURCES.clusters, RESOURCES.endpoints, RESOURCES.gateways, RESOURCES.routeAgents] as const;

async function missingKinds({ cluster }: CheckContext): Promise<readonly Finding[]> {
  const listings = await Promise.all(
    KINDS.map(async (type) => {
      const found = await cluster.client.find(RESOURCES.crds, `${type.plural}.${type.group}`);
      return { type, found };
    }),
  );
  return listings
    .filter(({ found }) => found === undefined)
    .map(({ type }) => ({
      object: `CustomResourceDefinition ${type.plural}.${type.group}`,
      reason: `is not there: nothing answers at ${resourcePath(type)}`,
    }));
}

function daemonSetFindings(name: string, daemonSets: readonly DaemonSet[], pods: readonly Pod[]): readonly Finding[] {
  const found = daemonSets.find(({ metadata }) => metadata.name === name);
  if (found === undefined) return [{ object: `DaemonSet ${name}`, reason: 'is not there' }];
  const progress = daemonSetProgress(
    found,
    pods.filter(({ metadata }) => metadata.labels?.['app'] === name),
  );
  return 'done' in progress ? [] : [{ object: `DaemonSet ${name}`, reason: progress.pending.replace(`${name}: `, '') }];
}

function restartFindings(pods: readonly Pod[]): readonly Finding[] {
  return pods.flatMap(({ metadata, status }) =>
    (status?.containerStatuses ?? [])
      .filter(({ restartCount }) => restartCount >= MANY_RESTARTS)
      .map(({ name, restartCount, lastState }) => {
        const code = lastState?.terminated?.exitCode;
        const last = code === undefined ? '' : `, last with exit code ${code}`;
        return {
          object: `pod ${metadata.name}`,
          reason: `container ${name} was restarted ${restartCount} times${last}`,
        };
      }),
  );
}

async function everyNode({ cluster }: CheckContext): Promise<Outcome> {
  const [nodes, pods, daemonSets] = await Promise.all([
    cluster.facts.nodes(),
    cluster.facts.pods(),
    cluster.facts.daemonSets(),
  ]);
  const running = podsByNode(pods, ROUTEAGENT_COMPONENT);
  const ready = nodes.filter(isReadyNode);
  const selector = daemonSets.find(({ metadata }) => metadata.name === ROUTEAGENT_COMPONENT)?.spec.template.spec;
  const findings = ready
    .map(({ metadata }) => metadata.name ?? '')
    .filter((name) => !running.has(name))
    .map((name) => {
      const pod = pods.find(
        (one) => one.metadata.labels?.['app'] === ROUTEAGENT_COMPONENT && one.spec.nodeName === name,
      );
      const chosen = selector?.nodeSelector !== undefined || selector?.affinity !== undefined;
      const why = chosen
        ? 'has no pod of it: the DaemonSet selects nodes by nodeSelector or affinity'
        : 'has no pod of it';
      return { object: `node ${name}`, reason: pod === undefined ? why : (podTrouble(pod) ?? 'its pod does not run') };
    });
  return failedIf(findings, `${ready.length} nodes`);
}

async function reported({ cluster }: CheckContext): Promise<Outcome> {
  const [agents, nodes] = await Promise.all([cluster.facts.routeAgents(), cluster.facts.nodes()]);
  const known = new Map(agents.map((agent) => [agent.metadata.name, agent.status]));
  const findings = nodes.filter(isReadyNode).flatMap(({ metadata }): readonly Finding[] => {
    const status = known.get(metadata.name);
    const object = `node ${metadata.name}`;
    if (status === undefined) return [{ object, reason: 'its route agent has reported nothing' }];
    const refused = status.remoteEndpoints.filter((remote) => remote.status === 'error');
    return [
      ...(status.statusFailure === '' ? [] : [{ object, reason: status.statusFailure }]),
      ...refused.map((remote) => ({ object, reason: `${remote.spec.cluster_id}: ${remote.statusMessage}` })),
    ];
  });
  return failedIf(findings);
}

async function joined({ cluster, chosen }: CheckContext): Promise<Outcome> {
  if (cluster.submariner !== undefined) return ok(`as ${cluster.clusterId}`);
  const reason = `has not joined: there is no Submariner object in namespace ${OPERATOR_NAMESPACE}`;
  return chosen ? failedIf([{ object: `cluster ${cluster.clusterId}`, reason }]) : skipped(`the cluster ${reason}`);
}

async function daemonSets({ cluster }: CheckContext): Promise<Outcome> {
  const [sets, pods] = await Promise.all([cluster.facts.daemonSets(), cluster.facts.pods()]);
  const names = [GATEWAY_COMPONENT, ROUTEAGENT_COMPONENT];
  return failedIf(names.flatMap((name) => daemonSetFindings(name, sets, pods)));
}

async function secrets({ cluster }: CheckContext): Promise<Outcome> {
  const [psk, broker] = await Promise.all([cluster.facts.pskSecret(), cluster.facts.brokerSecret()]);
  const lacking: readonly (readonly [string, boolean])[] = [
    ['submariner-ipsec-psk', psk?.data?.['psk'] !== undefined],
    ['submariner-broker-secret', broker?.data?.['token'] !== undefined],
  ];
  return failedIf(
    lacking
      .filter(([, there]) => !there)
      .map(([name]) => ({ object: `Secret ${name}`, reason: 'is missing or empty' })),
  );
}

async function versions({ cluster, run }: CheckContext): Promise<Outcome> {
  const [gateways, agents] = await Promise.all([cluster.facts.gateways(), cluster.facts.routeAgents()]);
  const running = [
    ...gateways.map(({ metadata, status }) => ({ object: `gateway ${metadata.name}`, version: status.version })),
    ...agents.map(({ metadata, status }) => ({ object: `route agent of ${metadata.name}`, version: status.version })),
  ];
  const all = [...new Set(running.map(({ version }) => version))];
  if (all.length === 0) return skipped('no daemon has reported its version yet');
  const own = run.context.version;
  const different = running.filter(({ version }) => version !== all[0]);
  if (different.length > 0) {
    return warningIf(different.map(({ object, version }) => ({ object, reason: `runs ${version}, others ${all[0]}` })));
  }
  const mine = all[0] === own ? [] : [{ object: 'subctl', reason: `is ${own}, the daemons are ${all[0]}` }];
  return warningIf(mine, all[0]);
}

/** Whether what join deploys is there and runs. */
export const DEPLOYMENT_CHECKS: readonly Check[] = [
  {
    category: 'deployment',
    name: 'joined',
    title: 'The cluster has joined',
    hint: 'subctl join broker-info.subm joins it.',
    joinedOnly: false,
    run: joined,
  },
  {
    category: 'deployment',
    name: 'kinds',
    title: 'The API server knows the kinds of submariner.io',
    hint: 'subctl join broker-info.subm installs them.',
    joinedOnly: true,
    run: async (context) => failedIf(await missingKinds(context)),
  },
  {
    category: 'deployment',
    name: 'daemonsets',
    title: 'Gateway and route agent run as deployed',
    hint: 'kubectl -n submariner-operator describe pods shows why they do not; subctl join broker-info.subm deploys them again.',
    joinedOnly: true,
    run: daemonSets,
  },
  {
    category: 'deployment',
    name: 'every-node',
    title: 'Every ready node runs a route agent',
    hint:
      'Pods on a node without one reach no other cluster. kubectl -n submariner-operator describe daemonset submariner-routeagent ' +
      'shows what keeps it away; subctl join broker-info.subm puts the DaemonSet back as it was.',
    joinedOnly: true,
    run: everyNode,
  },
  {
    category: 'deployment',
    name: 'route-agents',
    title: 'Route agents report no failure',
    hint: 'kubectl -n submariner-operator logs daemonset/submariner-routeagent tells more; docs/troubleshooting.md explains the messages.',
    joinedOnly: true,
    run: reported,
  },
  {
    category: 'deployment',
    name: 'secrets',
    title: 'The secrets that the gateways need are there',
    hint: 'subctl join broker-info.subm writes them.',
    joinedOnly: true,
    run: secrets,
  },
  {
    category: 'deployment',
    name: 'restarts',
    title: 'Containers are not restarted again and again',
    hint: 'kubectl -n submariner-operator logs POD --previous shows how it ended.',
    joinedOnly: true,
    run: async ({ cluster }) => warningIf(restartFindings(await cluster.facts.pods())),
  },
  {
    category: 'deployment',
    name: 'versions',
    title: 'All components have one version',
    hint: 'subctl join broker-info.subm with the subctl of the version you want deploys it everywhere.',
    joinedOnly: true,
    run: versions,
  },
];
