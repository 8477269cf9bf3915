import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Right } from '../rights.ts';

/** What running test pods needs: in a namespace of their own, or in one that is there already. */
export function testPodRights(namespace: string | undefined): readonly Right[] {
  const { namespaces, pods, services } = RESOURCES;
  const own: readonly Right[] =
    namespace === undefined ? [{ verbs: ['create', 'get', 'delete'], type: namespaces }] : [];
  const removing = namespace === undefined ? [] : ['delete'];
  return [
    ...own,
    { verbs: ['create', 'list', ...removing], type: pods, namespace },
    { verbs: ['create', 'list', ...removing], type: services, namespace },
    { verbs: ['create'], type: pods, subresource: 'exec', namespace },
    { verbs: ['create'], type: pods, subresource: 'exec', namespace: OPERATOR_NAMESPACE },
  ];
}
