import { GATEWAY_LABEL } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import { silence } from '../show/freshness.ts';
import { failedIf, warningIf, type Check, type CheckContext, type Finding, type Outcome } from './check.ts';
import { isReadyNode } from './cluster.ts';

function believable(gateways: readonly Gateway[], nowMs: number): readonly Gateway[] {
  return gateways.filter((gateway) => silence(gateway, nowMs) === undefined);
}

async function nodes({ cluster }: CheckContext): Promise<Outcome> {
  const all = await cluster.facts.nodes();
  const labelled = all.filter(({ metadata }) => metadata.labels?.[GATEWAY_LABEL] === 'true');
  const ready = labelled.filter(isReadyNode);
  const names = ready.map(({ metadata }) => metadata.name ?? '');
  if (names.length > 0) return failedIf([], names.join(', '));
  const lost = labelled.map(({ metadata }) => metadata.name).join(', ');
  return failedIf([
    labelled.length === 0
      ? { object: `cluster ${cluster.clusterId}`, reason: `no node carries the label ${GATEWAY_LABEL}=true` }
      : { object: `node ${lost}`, reason: 'the only gateway nodes are not ready' },
  ]);
}

async function active({ cluster }: CheckContext): Promise<Outcome> {
  const gateways = await cluster.facts.gateways();
  const silent = gateways.flatMap((gateway): readonly Finding[] => {
    const reason = silence(gateway, cluster.nowMs);
    return reason === undefined ? [] : [{ object: `gateway ${gateway.metadata.name}`, reason }];
  });
  const living = believable(gateways, cluster.nowMs).filter(({ status }) => status.haStatus === 'active');
  const names = living.map(({ metadata }) => metadata.name ?? '');
  if (names.length === 1) return warningIf(silent, `${names[0]}`);
  const object = `cluster ${cluster.clusterId}`;
  const reason = names.length === 0 ? 'no gateway is active' : `several gateways are active: ${names.join(', ')}`;
  return failedIf([...silent, { object, reason }]);
}

async function failures({ cluster }: CheckContext): Promise<Outcome> {
  const gateways = believable(await cluster.facts.gateways(), cluster.nowMs);
  const findings = gateways
    .filter(({ status }) => status.statusFailure !== '')
    .map(({ metadata, status }) => ({ object: `gateway ${metadata.name}`, reason: status.statusFailure }));
  return failedIf(findings);
}

async function spare({ cluster }: CheckContext): Promise<Outcome> {
  const gateways = believable(await cluster.facts.gateways(), cluster.nowMs);
  if (gateways.length !== 1) return failedIf([], `${gateways.length} gateways`);
  const [only] = gateways;
  return warningIf([
    { object: `gateway ${only?.metadata.name ?? ''}`, reason: 'is the only one: when it dies, so do all connections' },
  ]);
}

/** The gateways of a cluster, as they report themselves. */
export const GATEWAY_CHECKS: readonly Check[] = [
  {
    category: 'gateway',
    name: 'nodes',
    title: 'A ready node is labelled as gateway',
    hint: `kubectl label node NODE ${GATEWAY_LABEL}=true makes one; subctl join broker-info.subm --gateways 1 chooses one.`,
    joinedOnly: true,
    run: nodes,
  },
  {
    category: 'gateway',
    name: 'active',
    title: 'Exactly one gateway is active and reports',
    hint: 'kubectl -n submariner-operator logs daemonset/submariner-gateway tells why; kubectl -n submariner-operator get lease shows who leads.',
    joinedOnly: true,
    run: active,
  },
  {
    category: 'gateway',
    name: 'failures',
    title: 'Gateways report no failure',
    hint: 'docs/troubleshooting.md explains the messages; kubectl -n submariner-operator logs daemonset/submariner-gateway tells more.',
    joinedOnly: true,
    run: failures,
  },
  {
    category: 'gateway',
    name: 'spare',
    title: 'Another gateway can take over',
    hint: `kubectl label node NODE ${GATEWAY_LABEL}=true makes a second one.`,
    joinedOnly: true,
    run: spare,
  },
];
