import type { KubeClient, KubeObject, ListOptions, ResourceType } from '../../kube/client.ts';
import { KubeApiError } from '../../kube/errors.ts';
import { resourcePath } from '../../kube/resources.ts';
import { matchesSelector, parseLabelSelector } from '../../kube/selectors.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { GatheredCluster } from './archive.ts';

/** `spec.nodeName=n1`: paths and the texts they have to have. */
function fieldTests(selector: string): readonly (readonly [readonly string[], string])[] {
  return selector
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const [path = '', value = ''] = term.split(/==?/);
      return [path.split('.'), value] as const;
    });
}

function fieldAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

function isSelected(object: KubeObject, { namespace, labelSelector, fieldSelector = '' }: ListOptions): boolean {
  if (namespace !== undefined && object.metadata.namespace !== namespace) return false;
  if (!fieldTests(fieldSelector).every(([path, value]) => (fieldAt(object, path) ?? '') === value)) return false;
  return labelSelector === undefined || matchesSelector(parseLabelSelector(labelSelector), object.metadata.labels);
}

/**
 * A client that answers get, find and list from an archive, as its API server would have at that time. Everything else
 * rejects with ExpectedError; so do kinds that were not gathered.
 */
export function archiveClient(cluster: GatheredCluster): KubeClient {
  const name = cluster.clusterId ?? cluster.cluster;
  const refuse = (what: string): ExpectedError =>
    new ExpectedError(`${what} needs the cluster; of ${name} there is only an archive`, {
      hint: 'Run it without the archive, with the contexts of the clusters.',
    });
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  const list: KubeClient['list'] = async <T extends KubeObject>(type: ResourceType, options: ListOptions = {}) => ({
    items: (await cluster.objects<T>(type)).filter((object) => isSelected(object, options)),
    resourceVersion: '',
  });
  const find: KubeClient['find'] = async <T extends KubeObject>(
    type: ResourceType,
    wanted: string,
    { namespace }: { readonly namespace?: string } = {},
  ) => {
    const { items } = await list<T>(type, namespace === undefined ? {} : { namespace });
    return items.find(({ metadata }) => metadata.name === wanted);
  };
  const get: KubeClient['get'] = async <T extends KubeObject>(
    type: ResourceType,
    wanted: string,
    options: { readonly namespace?: string } = {},
  ) => {
    const found = await find<T>(type, wanted, options);
    if (found !== undefined) return found;
    const path = resourcePath(type, { ...options, name: wanted });
    const status = { reason: 'NotFound', message: `${type.plural} "${wanted}" not found` };
    throw new KubeApiError(404, status, { server: cluster.server, method: 'GET', path, source: 'archive' });
  };
  const never = (what: string) => async (): Promise<never> => Promise.reject(refuse(what));
  return {
    server: cluster.server,
    get,
    find,
    list,
    watch: () => {
      throw refuse('watching');
    },
    create: never('creating an object'),
    replace: never('changing an object'),
    apply: never('changing an object'),
    patch: never('changing an object'),
    delete: never('deleting an object'),
    request: never('this question'),
    logs: never('reading a log'),
    exec: never('running a program in a pod'),
    close: () => undefined,
  };
}
