import { systemClock, type Clock } from '../runtime/clock.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { appliersOf } from './appliers.ts';
import type { KubeClient, KubeObject, ResourceType } from './client.ts';
import { KubeApiError, isConflict, isForbidden, isNotFound } from './errors.ts';
import type { CustomResourceDefinition } from './objects.ts';
import { RESOURCES, resourceOf } from './resources.ts';

export interface ApplyObjectsOptions {
  readonly fieldManager: string;
  /** The server checks everything and changes nothing. */
  readonly dryRun?: boolean;
  /** Take fields over that others manage; default: reject. */
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Called after each object. */
  readonly onApplied?: (applied: AppliedObject) => void;
}

/** What became of one object; `object` is as the server answered. */
export interface AppliedObject {
  readonly object: KubeObject;
  readonly outcome: 'created' | 'configured' | 'unchanged';
}

/** Kinds in the order in which they need one another; everything else comes after ConfigMap. */
const ORDER = [
  'Namespace',
  'CustomResourceDefinition',
  'ServiceAccount',
  'ClusterRole',
  'Role',
  'ClusterRoleBinding',
  'RoleBinding',
  'Secret',
  'ConfigMap',
  '*',
  'Service',
  'DaemonSet',
  'Deployment',
];

const ESTABLISH_MS = 30_000;

/**
 * Server-side applies objects in dependency order, waiting for CRDs to be served before anything else; the results in that
 * order. What another tool applies already, and just so, is left to that one. Rejects with ExpectedError at the first object
 * that others manage differently (naming them), and with the client's errors; what was applied before stays, and applying
 * again continues.
 */
export async function applyObjects(
  client: KubeClient,
  objects: readonly KubeObject[],
  options: ApplyObjectsOptions,
): Promise<readonly AppliedObject[]> {
  const ordered = inOrder(objects);
  const definitions = ordered.filter(isDefinition);
  const typed = ordered.map((object) => ({ object, type: typeOf(object, definitions) }));
  const run = new ApplyRun(client, options, definitions);
  const results: AppliedObject[] = [];
  let waited = definitions.length === 0 || options.dryRun === true;
  for (const { object, type } of typed) {
    if (!waited && rankOf(object) > ORDER.indexOf(RESOURCES.crds.kind)) {
      await run.untilEstablished();
      waited = true;
    }
    const applied = await run.apply(type, object);
    options.onApplied?.(applied);
    results.push(applied);
  }
  if (!waited) await run.untilEstablished();
  return results;
}

/** The objects in the order in which they need one another, as applyObjects applies them. */
export function inOrder(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects.toSorted((a, b) => rankOf(a) - rankOf(b));
}

/** `Kind namespace/name`, for messages. */
function describeObject(object: KubeObject): string {
  const { namespace, name = '' } = object.metadata;
  return `${object.kind ?? 'object'} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

function isDefinition(object: KubeObject): object is CustomResourceDefinition {
  return object.kind === RESOURCES.crds.kind;
}

function rankOf(object: KubeObject): number {
  const rank = ORDER.indexOf(object.kind ?? '');
  return rank < 0 ? ORDER.indexOf('*') : rank;
}

function typeOf(object: KubeObject, definitions: readonly CustomResourceDefinition[]): ResourceType {
  const { apiVersion = '', kind = '' } = object;
  const known =
    resourceOf(apiVersion, kind) ?? definitions.flatMap(typesOf).find((type) => matches(type, apiVersion, kind));
  if (known === undefined)
    throw new Error(`cannot apply ${describeObject(object)}: unknown kind ${apiVersion} ${kind}`);
  return known;
}

function typesOf({ spec }: CustomResourceDefinition): readonly ResourceType[] {
  const { group, names, scope, versions } = spec;
  const namespaced = scope === 'Namespaced';
  return versions.map(({ name }) => ({ group, version: name, plural: names.plural, kind: names.kind, namespaced }));
}

function matches(type: ResourceType, apiVersion: string, kind: string): boolean {
  return type.kind === kind && `${type.group}/${type.version}` === apiVersion;
}

/** An object as it is before it is applied; 'unknown' to those who may write but not read it. */
type Before = KubeObject | 'unknown' | undefined;

class ApplyRun {
  readonly #client: KubeClient;
  readonly #options: ApplyObjectsOptions & { readonly dryRun: boolean; readonly force: boolean };
  readonly #clock: Clock;
  readonly #definitions: readonly CustomResourceDefinition[];
  /** Namespaces and groups that only exist in a dry run. */
  readonly #imagined = new Set<string>();

  constructor(client: KubeClient, options: ApplyObjectsOptions, definitions: readonly CustomResourceDefinition[]) {
    this.#client = client;
    this.#options = { ...options, dryRun: options.dryRun ?? false, force: options.force ?? false };
    this.#clock = options.clock ?? systemClock;
    this.#definitions = definitions;
  }

  async apply(type: ResourceType, object: KubeObject): Promise<AppliedObject> {
    const before = await this.#before(type, object);
    const kept = await this.#keptByOthers(type, object, before);
    if (kept !== undefined) return { object: kept, outcome: 'unchanged' };
    const after = await this.#send(type, object, this.#options.dryRun);
    if (before === undefined) this.#imagine(after);
    const outcome =
      before === undefined
        ? 'created'
        : before === 'unknown' || !sameContent(before, after)
          ? 'configured'
          : 'unchanged';
    return { object: after, outcome };
  }

  /**
   * The object when another tool applies it, we never did, and it is as we want it, else undefined. Applying it would make
   * us one of its managers, and the next change by that tool a conflict with us.
   */
  async #keptByOthers(type: ResourceType, object: KubeObject, before: Before): Promise<KubeObject | undefined> {
    if (before === undefined || before === 'unknown' || this.#options.force) return undefined;
    const appliers = appliersOf(before);
    if (appliers.size === 0 || appliers.has(this.#options.fieldManager)) return undefined;
    const after = await this.#send(type, object, true);
    return sameContent(before, after) ? after : undefined;
  }

  /** Resolves when every CRD of this run is established; rejects with ExpectedError after 30 s, saying which is not and why. */
  async untilEstablished(): Promise<void> {
    const deadline = this.#clock.monotonic() + ESTABLISH_MS;
    for (const definition of this.#definitions) {
      for (;;) {
        const problem = await this.#notEstablished(definition.metadata.name ?? '');
        if (problem === undefined) break;
        if (this.#clock.monotonic() > deadline) {
          throw new ExpectedError(
            `the CRD ${definition.metadata.name} is not served by ${this.#client.server}: ${problem}`,
            {
              hint: `kubectl describe crd ${definition.metadata.name}`,
            },
          );
        }
        await this.#clock.sleep(100, this.#options.signal);
        this.#options.signal?.throwIfAborted();
      }
    }
  }

  async #notEstablished(name: string): Promise<string | undefined> {
    const { signal } = this.#options;
    const options = signal === undefined ? {} : { signal };
    const found = await this.#client.find<CustomResourceDefinition>(RESOURCES.crds, name, options);
    const conditions = found?.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return undefined;
    const refused = conditions.find(({ status }) => status === 'False');
    return refused === undefined
      ? 'it is not established yet'
      : `${refused.type}: ${refused.message ?? refused.reason ?? 'False'}`;
  }

  async #before(type: ResourceType, object: KubeObject): Promise<Before> {
    const { namespace, name = '' } = object.metadata;
    try {
      return await this.#client.find(type, name, namespace === undefined ? {} : { namespace });
    } catch (error) {
      if (isForbidden(error)) return 'unknown';
      throw error;
    }
  }

  async #send(type: ResourceType, object: KubeObject, dryRun: boolean): Promise<KubeObject> {
    const { fieldManager, force, signal } = this.#options;
    try {
      return await this.#client.apply(type, object, {
        fieldManager,
        dryRun,
        force,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (isConflict(error) && error instanceof KubeApiError) throw conflictError(object, error);
      if (dryRun && isNotFound(error) && this.#isImagined(type, object)) return object;
      throw error;
    }
  }

  #imagine(object: KubeObject): void {
    if (!this.#options.dryRun) return;
    if (object.kind === RESOURCES.namespaces.kind) this.#imagined.add(`namespace ${object.metadata.name}`);
    if (isDefinition(object)) this.#imagined.add(`group ${object.spec.group}`);
  }

  #isImagined(type: ResourceType, object: KubeObject): boolean {
    return this.#imagined.has(`namespace ${object.metadata.namespace}`) || this.#imagined.has(`group ${type.group}`);
  }
}

function conflictError(object: KubeObject, error: KubeApiError): ExpectedError {
  const causes = error.status.details?.causes ?? [];
  const fields = causes.map(({ message = '', field = '' }) => {
    const manager = /conflict with "([^"]+)"/.exec(message)?.[1];
    return manager === undefined ? `${field} ${message}`.trim() : `${field} (managed by ${manager})`;
  });
  const what = fields.length === 0 ? error.message : `others manage ${fields.join(', ')}`;
  return new ExpectedError(`cannot apply ${describeObject(object)}: ${what}`, {
    hint: `See who changed it: kubectl get ${object.kind} ${object.metadata.name} -o yaml --show-managed-fields`,
    cause: error,
  });
}

/** Whether two states of an object differ in nothing the applier cares for. */
function sameContent(a: KubeObject, b: KubeObject): boolean {
  return canonical(content(a)) === canonical(content(b));
}

function content(object: KubeObject): unknown {
  const { metadata, status: _status, ...rest } = object as KubeObject & { readonly status?: unknown };
  const { managedFields: _managed, resourceVersion: _version, generation: _generation, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
