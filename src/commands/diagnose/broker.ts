import type { Endpoint } from '../../api/types.ts';
import { parseEndpoint } from '../../api/validate.ts';
import { isForbidden, isUnauthorized, KubeConnectionError } from '../../kube/errors.ts';
import { brokerNames } from '../../kube/mirror.ts';
import { planMirror, type MirroredObject, type MirrorStep } from '../../kube/mirrorplan.ts';
import { parseGateways } from '../../api/gateways.ts';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { cidrsOverlap } from '../../net/cidr.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';
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
import type { BrokerFacts, DiagnosedCluster } from './cluster.ts';

const RENEW =
  'subctl join broker-info.subm gives the cluster new credentials; subctl recover-broker-info writes that file again when it is gone.';

/** What the broker shows; undefined when only this machine cannot reach it. */
async function seenBroker({ facts }: DiagnosedCluster): Promise<BrokerFacts | undefined> {
  try {
    return await facts.broker();
  } catch (error) {
    if (error instanceof ExpectedError) return undefined;
    throw error;
  }
}

async function gatewayProblem({ facts }: DiagnosedCluster): Promise<string | null> {
  const active = (await facts.gateways()).find(({ status }) => status.haStatus === 'active');
  if (active?.metadata.name === undefined) return null;
  try {
    return (await facts.engine(active.metadata.name)).inputs.broker?.problem ?? null;
  } catch (error) {
    if (error instanceof ExpectedError) return null;
    throw error;
  }
}

/** The credentials are tried from here; that the broker is not reached from here says nothing about the gateways. */
async function reached({ cluster }: CheckContext): Promise<Outcome> {
  const told = await gatewayProblem(cluster);
  const object = `broker ${cluster.submariner?.spec.brokerK8sApiServer ?? ''}`;
  try {
    const { server } = await cluster.facts.broker();
    return told === null ? ok(server) : failedIf([{ object, reason: `the active gateway cannot use it: ${told}` }]);
  } catch (error) {
    if (isUnauthorized(error)) {
      const reason = `does not accept the token of ${cluster.clusterId} (Secret submariner-broker-secret): it has expired or was revoked`;
      return failedIf([{ object, reason }]);
    }
    if (isForbidden(error)) {
      return failedIf([
        { object, reason: `the token of ${cluster.clusterId} has too few rights: ${(error as Error).message}` },
      ]);
    }
    if (!(error instanceof KubeConnectionError)) throw error;
    if (told !== null) return failedIf([{ object, reason: `the active gateway cannot use it: ${told}` }]);
    return skipped(`this machine does not reach it (${error.message}), but the active gateway does`);
  }
}

const UNSEEN = 'this machine cannot look at the broker';

function parsed(objects: readonly MirroredObject[]): readonly Endpoint[] {
  return objects.flatMap((object) => {
    const { problem, endpoint } = { endpoint: undefined, ...parseEndpoint(object) };
    return problem === undefined && endpoint !== undefined ? [endpoint] : [];
  });
}

function age(a: Endpoint, b: Endpoint): number {
  return (a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1;
}

/** Endpoints that nobody stands behind any more. */
export function staleEndpoints(
  endpoints: readonly Endpoint[],
  clusters: readonly string[],
  own: ReadonlyMap<string, Endpoint['spec'] | undefined>,
): readonly Finding[] {
  const byCluster = Map.groupBy(endpoints, ({ spec }) => spec.cluster_id);
  return [...byCluster].flatMap(([id, all]) => {
    const sorted = all.toSorted(age);
    const newest = sorted.at(-1);
    const say = ({ metadata, spec }: Endpoint, reason: string): Finding => ({
      object: `Endpoint ${metadata.name} on the broker`,
      reason,
      hint: `kubectl -n ${metadata.namespace} delete endpoints.submariner.io ${metadata.name}, on the broker, removes it (gateway ${spec.hostname}, ${spec.private_ip}).`,
    });
    const older = sorted.slice(0, -1).map((one) => say(one, `${id} has a newer one, ${newest?.metadata.name}`));
    if (newest === undefined) return older;
    if (!clusters.includes(id)) return [...older, say(newest, `there is no Cluster ${id}: it was left behind`)];
    const now = own.get(id);
    if (now === undefined || now.private_ip === newest.spec.private_ip) return older;
    const reason = `is of gateway ${newest.spec.hostname} (${newest.spec.private_ip}), but the active gateway of ${id} is ${now.hostname} (${now.private_ip})`;
    return [...older, say(newest, reason)];
  });
}

async function ownEndpoint({ clusterId, facts }: DiagnosedCluster): Promise<Endpoint['spec'] | undefined> {
  const active = (await facts.gateways()).find(({ status }) => status.haStatus === 'active');
  return active?.status.localEndpoint.cluster_id === clusterId ? active.status.localEndpoint : undefined;
}

async function stale({ cluster, others }: CheckContext): Promise<Outcome> {
  const broker = await seenBroker(cluster);
  if (broker === undefined) return skipped(UNSEEN);
  const own = await Promise.all(
    [cluster, ...others].map(async (one) => [one.clusterId, await ownEndpoint(one)] as const),
  );
  const ids = broker.clusters.flatMap(({ spec }) => (typeof spec?.cluster_id === 'string' ? [spec.cluster_id] : []));
  const endpoints = parsed(broker.endpoints);
  return failedIf(staleEndpoints(endpoints, ids, new Map(own)), `${endpoints.length} Endpoints`);
}

function describeStep({ on, action, object }: MirrorStep, kind: string): Finding {
  const words = { create: 'is missing', replace: 'is not up to date', delete: 'should be gone' } as const;
  return {
    object: `${kind} ${object.metadata.name}`,
    reason: `${words[action]} ${on === 'local' ? 'in the cluster' : 'on the broker'}`,
  };
}

async function mirrored({ cluster }: CheckContext): Promise<Outcome> {
  const broker = await seenBroker(cluster);
  if (broker === undefined) return skipped(UNSEEN);
  const { client, clusterId } = cluster;
  const at = { clusterId, localNamespace: OPERATOR_NAMESPACE, brokerNamespace: broker.namespace };
  const kinds = [
    { kind: 'Cluster', type: RESOURCES.clusters, there: broker.clusters },
    { kind: 'Endpoint', type: RESOURCES.endpoints, there: broker.endpoints },
  ] as const;
  const findings = await Promise.all(
    kinds.map(async ({ kind, type, there }) => {
      const { items } = await client.list<MirroredObject & KubeObject>(type, { namespace: OPERATOR_NAMESPACE });
      const { steps, problems } = planMirror({
        ...at,
        local: items,
        broker: there,
        brokerNames: brokerNames(type, clusterId),
      });
      return [
        ...steps.map((step) => describeStep(step, kind)),
        ...problems.map((reason) => ({ object: `${kind} objects`, reason })),
      ];
    }),
  );
  return failedIf(findings.flat(), `${broker.clusters.length} clusters`);
}

async function overlaps({ cluster }: CheckContext): Promise<Outcome> {
  const broker = await seenBroker(cluster);
  if (broker === undefined) return skipped(UNSEEN);
  const all = parsed(broker.endpoints).flatMap(({ spec }) =>
    spec.subnets.map((cidr) => ({ id: spec.cluster_id, cidr })),
  );
  const clashes = all.flatMap((one, index) =>
    all
      .slice(index + 1)
      .filter((other) => other.id !== one.id && cidrsOverlap(other.cidr, one.cidr))
      .map((other) => ({ object: `cluster ${other.id}`, reason: `${other.cidr} overlaps ${one.cidr} of ${one.id}` })),
  );
  return failedIf(clashes, `${all.length} CIDRs`);
}

async function fingerprint({ facts }: DiagnosedCluster): Promise<string | undefined> {
  const psk = (await facts.pskSecret())?.data?.['psk'];
  return psk === undefined ? undefined : pskFingerprint(Buffer.from(psk, 'base64'));
}

/** Keys are compared by fingerprint; none is ever shown. */
async function keys({ cluster, others }: CheckContext): Promise<Outcome> {
  const own = await fingerprint(cluster);
  if (own === undefined) return skipped('the cluster has no pre-shared key');
  const object = `Secret submariner-ipsec-psk of ${cluster.clusterId}`;
  const recorded = (await seenBroker(cluster))?.broker?.metadata.annotations?.[PSK_FINGERPRINT_ANNOTATION];
  const different = await Promise.all(
    others.map(async (other) => ({ id: other.clusterId, key: await fingerprint(other).catch(() => undefined) })),
  );
  const findings = [
    ...(recorded === undefined || recorded === own
      ? []
      : [{ object, reason: 'is not the pre-shared key that the broker handed out' }]),
    ...different
      .filter(({ key }) => key !== undefined && key !== own)
      .map(({ id }) => ({ object, reason: `differs from that of ${id}` })),
  ];
  return failedIf(findings);
}

async function drivers({ cluster }: CheckContext): Promise<Outcome> {
  const endpoints = await cluster.facts.endpoints();
  const wanted = cluster.submariner?.spec.cableDriver ?? 'libreswan';
  const own = endpoints.find(({ spec }) => spec.cluster_id === cluster.clusterId);
  const driver = own?.spec.backend ?? wanted;
  const change = own === undefined ? undefined : parseGateways(own)?.change?.backend;
  const others = endpoints.filter(({ spec }) => spec.cluster_id !== cluster.clusterId);
  const awaited = others.filter(
    (other) =>
      change !== undefined && other.spec.backend === driver && parseGateways(other)?.change?.backend !== change,
  );
  return warningIf(
    [
      ...others
        .filter(({ spec }) => spec.backend !== driver)
        .map(({ spec }) => ({
          object: `cluster ${spec.cluster_id}`,
          reason: `uses ${spec.backend}, this one ${driver}: there is no tunnel between them`,
        })),
      ...awaited.map(({ spec }) => ({
        object: `cluster ${spec.cluster_id}`,
        reason: `has not been joined with ${change} yet, to which this one changes together with it; ${driver} stays in use`,
      })),
    ],
    driver,
  );
}

/** Whether the cluster can use the broker, and whether what it finds there is right. */
export const BROKER_CHECKS: readonly Check[] = [
  {
    category: 'broker',
    name: 'reached',
    title: 'The broker accepts the credentials of the cluster',
    hint: RENEW,
    joinedOnly: true,
    run: reached,
  },
  {
    category: 'broker',
    name: 'mirrored',
    title: 'Broker and cluster hold the same objects',
    hint: 'The active gateway copies them; kubectl -n submariner-operator logs daemonset/submariner-gateway tells why it does not.',
    joinedOnly: true,
    run: mirrored,
  },
  {
    category: 'broker',
    name: 'stale',
    title: 'Every Endpoint on the broker belongs to a gateway that is active',
    hint: 'Delete what was left behind, on the broker.',
    joinedOnly: true,
    run: stale,
  },
  {
    category: 'broker',
    name: 'overlaps',
    title: 'The CIDRs of the clusters do not overlap',
    hint: 'subctl join broker-info.subm with other --clustercidr or --servicecidr, on one of the two.',
    joinedOnly: true,
    run: overlaps,
  },
  {
    category: 'broker',
    name: 'keys',
    title: 'All clusters have the same pre-shared key',
    hint: 'subctl join broker-info.subm, on each with the same file, gives them one.',
    joinedOnly: true,
    run: keys,
  },
  {
    category: 'broker',
    name: 'drivers',
    title: 'All clusters use the same cable driver',
    hint: 'subctl join broker-info.subm --cable-driver DRIVER, with the same one on all.',
    joinedOnly: true,
    run: drivers,
  },
];
