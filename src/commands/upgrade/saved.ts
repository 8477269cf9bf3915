import { FIELD_MANAGER, OPERATOR_NAMESPACE } from '../../api/names.ts';
import { isObject } from '../../api/decode.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { ConfigMap } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** What is needed to go on with an upgrade, or back; kept in the cluster while one is under way. */
export interface SavedUpgrade {
  readonly from: string;
  readonly to: string;
  /** RFC 3339. */
  readonly startedAt: string;
  /** Objects as they were, in an order in which they can be applied. */
  readonly before: readonly KubeObject[];
  /** Objects that were not there. */
  readonly created: readonly KubeObject[];
  /** By DaemonSet: revisions of the pods as they were; only of those whose pods are replaced. */
  readonly revisions: Readonly<Record<string, readonly string[]>>;
}

/** ConfigMap in which an upgrade that is under way is recorded. */
const SAVED_NAME = 'subctl-upgrade';
const KEY = 'upgrade.json';
const namespace = OPERATOR_NAMESPACE;

/** The upgrade that is under way in a cluster; undefined when none is. Rejects with ExpectedError when the record makes no sense. */
export async function readSaved(client: KubeClient): Promise<SavedUpgrade | undefined> {
  const found = await client.find<ConfigMap>(RESOURCES.configMaps, SAVED_NAME, { namespace });
  if (found === undefined) return undefined;
  const saved = parse(found.data?.[KEY] ?? '');
  if (saved !== undefined) return saved;
  throw new ExpectedError(`the record of an interrupted upgrade cannot be read: ConfigMap ${namespace}/${SAVED_NAME}`, {
    hint: `Without it nothing can be rolled back, but upgrading works: kubectl -n ${namespace} delete configmap ${SAVED_NAME}`,
  });
}

function parse(text: string): SavedUpgrade | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const sound = isObject(value) && Array.isArray(value['before']) && Array.isArray(value['created']);
    return sound && isObject(value['revisions']) ? (value as unknown as SavedUpgrade) : undefined;
  } catch {
    return undefined;
  }
}

/** Records an upgrade before its first step. */
export async function writeSaved(client: KubeClient, saved: SavedUpgrade): Promise<void> {
  const map: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: SAVED_NAME, namespace },
    data: { [KEY]: JSON.stringify(saved) },
  };
  await client.apply(RESOURCES.configMaps, map, { fieldManager: FIELD_MANAGER, force: true });
}

/** Forgets an upgrade that is over. */
export async function removeSaved(client: KubeClient): Promise<void> {
  await client.delete(RESOURCES.configMaps, SAVED_NAME, { namespace });
}
