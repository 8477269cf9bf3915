import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { elsewhereObjects } from './survey.ts';
import type { Right } from '../rights.ts';

/** What the operator has to be allowed to do in the cluster; only to look when nothing is to be changed. */
export function uninstallRights(templatesDir: string, readOnly: boolean): readonly Right[] {
  const namespace = OPERATOR_NAMESPACE;
  const places = new Map(
    elsewhereObjects(templatesDir).map(({ type, namespace: where }) => [
      `${type.plural} ${where}`,
      { type, namespace: where },
    ]),
  );
  const elsewhere = (verbs: readonly string[]): readonly Right[] =>
    [...places.values()].map((place) => ({ verbs, ...place }));
  const look: readonly Right[] = [
    { verbs: ['get'], type: RESOURCES.namespaces },
    { verbs: ['list'], type: RESOURCES.nodes },
    { verbs: ['list'], type: RESOURCES.crds },
    ...elsewhere(['get']),
    { verbs: ['list'], type: RESOURCES.daemonSets, namespace },
    { verbs: ['get'], type: RESOURCES.submariners, namespace },
    { verbs: ['list'], type: RESOURCES.endpoints },
    { verbs: ['list'], type: RESOURCES.clusters },
    { verbs: ['list'], type: RESOURCES.brokers },
    { verbs: ['list'], type: RESOURCES.gateways },
    { verbs: ['list'], type: RESOURCES.routeAgents },
    { verbs: ['list'], type: RESOURCES.submariners },
    { verbs: ['get'], type: RESOURCES.secrets, namespace },
  ];
  if (readOnly) return look;
  return [
    ...look,
    { verbs: ['delete'], type: RESOURCES.namespaces },
    { verbs: ['patch'], type: RESOURCES.nodes },
    { verbs: ['delete'], type: RESOURCES.crds },
    ...elsewhere(['delete']),
    { verbs: ['delete'], type: RESOURCES.daemonSets, namespace },
    { verbs: ['create', 'list', 'delete'], type: RESOURCES.pods, namespace },
  ];
}

/** What it takes besides to clean nodes of a cluster whose namespace is gone: server-side apply creates one. */
export const NAMESPACE_RIGHTS: readonly Right[] = [{ verbs: ['create', 'patch'], type: RESOURCES.namespaces }];
