import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { extraRights } from '../drift/extra.ts';
import type { Right } from '../rights.ts';

/** What the operator has to be allowed to do so that the API server tells what applying would change. */
export function driftRights(): readonly Right[] {
  const namespace = OPERATOR_NAMESPACE;
  const compare = ['get', 'patch'];
  return [
    { verbs: compare, type: RESOURCES.namespaces },
    { verbs: [...compare, 'list'], type: RESOURCES.crds },
    { verbs: compare, type: RESOURCES.clusterRoles },
    { verbs: compare, type: RESOURCES.clusterRoleBindings },
    { verbs: compare, type: RESOURCES.serviceAccounts, namespace },
    { verbs: compare, type: RESOURCES.roles, namespace },
    { verbs: compare, type: RESOURCES.roleBindings, namespace },
    { verbs: compare, type: RESOURCES.roles, namespace: 'default' },
    { verbs: compare, type: RESOURCES.roleBindings, namespace: 'default' },
    { verbs: ['get'], type: RESOURCES.secrets, namespace },
    { verbs: compare, type: RESOURCES.daemonSets, namespace },
    { verbs: compare, type: RESOURCES.submariners, namespace },
    ...extraRights(['list']),
  ];
}
