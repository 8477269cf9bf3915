import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { joinRights } from '../join/manifests.ts';
import type { Right } from '../rights.ts';
import { extraRights } from '../drift/extra.ts';
import { driftRights } from '../diff/rights.ts';

/** What the operator has to be allowed to do in the cluster. */
export function upgradeRights(readOnly: boolean): readonly Right[] {
  const namespace = OPERATOR_NAMESPACE;
  const looking: readonly Right[] = [
    ...driftRights(),
    { verbs: ['list'], type: RESOURCES.nodes },
    { verbs: ['list'], type: RESOURCES.pods, namespace },
    { verbs: ['list'], type: RESOURCES.daemonSets, namespace },
    { verbs: ['list'], type: RESOURCES.gateways, namespace },
    { verbs: ['get'], type: RESOURCES.configMaps, namespace },
  ];
  if (readOnly) return looking;
  return [
    ...looking,
    ...joinRights(true),
    { verbs: ['create', 'patch', 'delete'], type: RESOURCES.configMaps, namespace },
    { verbs: ['get'], type: RESOURCES.routeAgents, namespace },
    { verbs: ['get', 'create', 'update', 'delete'], type: RESOURCES.leases, namespace },
    ...extraRights(['delete']),
  ];
}
