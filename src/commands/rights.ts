import type { KubeClient, ResourceType } from '../kube/client.ts';
import { ExpectedError } from '../runtime/errors.ts';

/** Something a command has to be allowed to do. */
export interface Right {
  readonly verbs: readonly string[];
  readonly type: ResourceType;
  /** For example exec. */
  readonly subresource?: string;
  /** Undefined: cluster-wide. */
  readonly namespace?: string | undefined;
  /** Undefined: all objects. */
  readonly name?: string | undefined;
}

/** What one place has to grant. */
export interface RightsAt {
  readonly where: string;
  readonly client: KubeClient;
  readonly rights: readonly Right[];
  /** What it means when not one of the rights is granted. */
  readonly ifNone?: string;
}

const READING: readonly string[] = ['get', 'list', 'watch'];

/** The same place with the rights to read only: all that a dry run needs. */
export function readingOnly({ rights, ...place }: RightsAt): RightsAt {
  const kept = rights.map((right) => ({ ...right, verbs: right.verbs.filter((verb) => READING.includes(verb)) }));
  return { ...place, rights: kept.filter(({ verbs }) => verbs.length > 0) };
}

interface Review {
  readonly status?: { readonly allowed?: boolean; readonly reason?: string };
}

const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** Asks the API server about every right at once; those that are missing, as `verb resource.group in namespace`, each with the place before it. */
async function missingRights({ where, client, rights, ifNone }: RightsAt): Promise<readonly string[]> {
  const questions = rights.flatMap(({ verbs, ...right }) => verbs.map((verb) => ({ verb, ...right })));
  const answers = await Promise.all(
    questions.map(async ({ verb, type, subresource, namespace, name }) => {
      const { status } = await client.request<Review>('POST', REVIEWS, {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { verb, group: type.group, resource: type.plural, subresource, namespace, name } },
      });
      return status?.allowed === true;
    }),
  );
  const missing = questions.filter((_, index) => answers[index] !== true);
  if (ifNone !== undefined && missing.length > 0 && missing.length === questions.length) return [`${where}: ${ifNone}`];
  return groupByPlace(missing).map((right) => `${where}: ${right}`);
}

function groupByPlace(missing: readonly (Omit<Right, 'verbs'> & { readonly verb: string })[]): readonly string[] {
  const verbsOf = new Map<string, Set<string>>();
  for (const { verb, type, subresource, namespace, name } of missing) {
    const plural = subresource === undefined ? type.plural : `${type.plural}/${subresource}`;
    const resource = type.group === '' ? plural : `${plural}.${type.group}`;
    const place = `${resource}${name === undefined ? '' : ` ${name}`}${namespace === undefined ? ' (cluster-wide)' : ` in namespace ${namespace}`}`;
    verbsOf.set(place, (verbsOf.get(place) ?? new Set()).add(verb));
  }
  return [...verbsOf].map(([place, verbs]) => `${[...verbs].join(', ')} ${place}`);
}

/** Rejects with one ExpectedError that lists every missing right of all the given places; nothing is changed before. */
export async function requireRights(places: readonly RightsAt[]): Promise<void> {
  const found = await Promise.all(places.map(missingRights));
  const lines = found.flat().map((line) => `\n  ${line}`);
  if (lines.length === 0) return;
  throw new ExpectedError(`the credentials lack ${lines.length === 1 ? 'a right' : 'rights'}:${lines.join('')}`, {
    hint: 'Use an administrator, or have these granted. Nothing was changed.',
  });
}
