import { FIELD_MANAGER } from '../../api/names.ts';
import { inOrder } from '../../kube/apply.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { isConflict, KubeApiError } from '../../kube/errors.ts';
import { resourceOf } from '../../kube/resources.ts';
import { createRedactor } from '../gather/redact.ts';
import type { Written } from '../objects.ts';
import { type FieldChange, fieldChanges } from './difference.ts';

/** How one object that we apply compares with what is in a cluster. */
export interface ObjectDrift {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | null;
  readonly on: Written['on'];
  /** `extra`: it is there, and ought not to be. */
  readonly state: 'same' | 'changed' | 'missing' | 'extra';
  /** Of a changed one; secrets are not in it. */
  readonly changes: readonly FieldChange[];
  /** Field managers that wrote another value into fields of ours. */
  readonly changedBy: readonly string[];
}

/** Where objects are compared. */
export interface Place {
  readonly client: KubeClient;
  readonly on: Written['on'];
}

/**
 * Compares objects with those of a cluster, in the order in which they are applied. The API server says what applying
 * would make of each (a dry run of server-side apply), so that defaults and fields of others are no difference.
 */
export async function compareObjects(place: Place, objects: readonly KubeObject[]): Promise<readonly ObjectDrift[]> {
  return Promise.all(inOrder(objects).map(async (object) => compareObject(place, object)));
}

async function compareObject({ client, on }: Place, object: KubeObject): Promise<ObjectDrift> {
  const { apiVersion = '', kind = '', metadata } = object;
  const type = resourceOf(apiVersion, kind);
  if (type === undefined) throw new Error(`cannot compare a ${apiVersion} ${kind}: unknown kind`);
  const { name = '', namespace } = metadata;
  const described = { kind, name, namespace: namespace ?? null, on };
  const live = await client.find(type, name, namespace === undefined ? {} : { namespace });
  if (live === undefined) return { ...described, state: 'missing', changes: [], changedBy: [] };
  const { after, changedBy } = await imagine(client, type, object);
  const changes = fieldChanges(live, after);
  const state = changes.length === 0 ? 'same' : 'changed';
  return { ...described, state, changes: changes.map(withoutSecrets), changedBy };
}

/** The object as it would be after it was applied, and who wrote into its fields since. */
async function imagine(
  client: KubeClient,
  type: ResourceType,
  object: KubeObject,
): Promise<{ readonly after: KubeObject; readonly changedBy: readonly string[] }> {
  const options = { fieldManager: FIELD_MANAGER, dryRun: true };
  try {
    return { after: await client.apply(type, object, options), changedBy: [] };
  } catch (error) {
    if (!isConflict(error) || !(error instanceof KubeApiError)) throw error;
    return { after: await client.apply(type, object, { ...options, force: true }), changedBy: managersIn(error) };
  }
}

function managersIn({ status }: KubeApiError): readonly string[] {
  const causes = status.details?.causes ?? [];
  const names = causes.map(({ message = '' }) => /conflict with "([^"]+)"/.exec(message)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].toSorted();
}

/** The value of an environment variable has the name of the variable. */
const VARIABLE = /\[(?<name>[^\]]*)\]\.value$/;

/** The change without secrets, also those in plain fields of an object. */
export function withoutSecrets({ path, live, wanted }: FieldChange): FieldChange {
  const key = VARIABLE.exec(path)?.groups?.['name'] ?? path.split('.').at(-1) ?? path;
  const redactor = createRedactor([]);
  const clean = (value: unknown): unknown =>
    value === undefined ? undefined : (redactor.object({ [key]: value }) as Readonly<Record<string, unknown>>)[key];
  return { path, live: clean(live), wanted: clean(wanted) };
}
