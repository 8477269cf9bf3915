import type { KubeClient, KubeObject, ResourceType } from './client.ts';
import { isConflict } from './errors.ts';

/**
 * Deletes an object unless it has changed since it was seen (uid and resourceVersion as preconditions). False when it has
 * changed, or is gone already.
 */
export async function deleteAsSeen(
  client: KubeClient,
  type: ResourceType,
  { metadata: { name = '', namespace, uid, resourceVersion } }: KubeObject,
  signal: AbortSignal,
): Promise<boolean> {
  const where = namespace === undefined ? {} : { namespace };
  const preconditions = {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  try {
    return await client.delete(type, name, { ...where, ...preconditions, signal });
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}
