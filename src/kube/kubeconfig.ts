import { existsSync } from 'node:fs';
import { ExpectedError } from '../runtime/errors.ts';
import type { KubeClient } from './client.ts';
import { createHttpsClient } from './httpsclient.ts';
import { inClusterClient } from './incluster.ts';
import { connectionOptions, type ConnectionOverrides } from './kubeauth.ts';
import { kubeconfigPaths, readKubeconfig, textField, type KubeconfigData } from './kubeconfigfile.ts';

/** Where to look for API servers: the connection flags of kubectl, and the environment. */
export interface KubeconfigOptions extends ConnectionOverrides {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Names of entries that are used instead of the context's. */
  readonly cluster?: string | undefined;
  readonly user?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One context of the kubeconfig, with the flags applied. */
export interface KubeContext {
  readonly name: string;
  /** Name of the cluster entry. */
  readonly cluster: string;
  readonly user: string;
  readonly namespace: string | undefined;
  readonly server: string;
}

/** The contexts of a kubeconfig and the way to their API servers. */
export interface KubeContexts {
  /** In the order of the files. */
  readonly all: readonly KubeContext[];
  /** The context of --context, else the current one; undefined when there is neither. */
  readonly current: KubeContext | undefined;
  /** One context for each cluster: the current one where it is of that cluster, else the first. */
  readonly distinct: readonly KubeContext[];
  /** A client for a context, by default the current one. Rejects with ExpectedError; the caller closes it. */
  client(name?: string): Promise<KubeClient>;
}

const IN_CLUSTER = 'in-cluster';
const ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Reads the kubeconfig as kubectl does (--kubeconfig, $KUBECONFIG, ~/.kube/config, else the service account of the pod).
 * Throws ExpectedError when it cannot be read, when there is none, or when --context names none of its contexts.
 */
export function loadKubeContexts(options: KubeconfigOptions): KubeContexts {
  const data = readKubeconfig(options.kubeconfig, options.env);
  if (data !== undefined) return contextsOf(data, options);
  if (options.server !== undefined) return contextsOf(NO_DATA, options);
  if (existsSync(ACCOUNT_TOKEN) && options.env['KUBERNETES_SERVICE_HOST'] !== undefined)
    return inClusterContexts(options);
  const looked = kubeconfigPaths(options.env).join(', ') || 'nowhere: HOME is not set';
  throw new ExpectedError(`there is no kubeconfig (looked at ${looked})`, {
    hint: 'Use --kubeconfig FILE or set KUBECONFIG. For clusters of the sandbox: eval "$(bin/subctl sandbox env)".',
  });
}

const NO_DATA: KubeconfigData = {
  clusters: new Map(),
  users: new Map(),
  contexts: new Map(),
  currentContext: undefined,
  files: [],
};

function contextsOf(data: KubeconfigData, options: KubeconfigOptions): KubeContexts {
  const all = [...data.contexts.keys()].map((name) => contextOf(data, options, name));
  const chosen = options.context ?? data.currentContext;
  const current = all.find(({ name }) => name === chosen);
  if (options.context !== undefined && current === undefined) throw unknownContext(options.context, data);
  return {
    all,
    current,
    distinct: distinctClusters(all, current),
    client: async (name) => {
      const context = name ?? current?.name;
      if (context === undefined && options.server === undefined) throw noContext(data);
      if (context !== undefined && !data.contexts.has(context)) throw unknownContext(context, data);
      return createHttpsClient(await optionsOf(data, options, context));
    },
  };
}

function entryNames(
  data: KubeconfigData,
  options: KubeconfigOptions,
  context: string | undefined,
): { cluster: string; user: string } {
  const entry = context === undefined ? undefined : data.contexts.get(context);
  return {
    cluster: options.cluster ?? textField(entry, 'cluster') ?? '',
    user: options.user ?? textField(entry, 'user') ?? '',
  };
}

function contextOf(data: KubeconfigData, options: KubeconfigOptions, name: string): KubeContext {
  const { cluster, user } = entryNames(data, options, name);
  const server = options.server ?? textField(data.clusters.get(cluster), 'server') ?? '';
  return { name, cluster, user, namespace: textField(data.contexts.get(name), 'namespace'), server };
}

async function optionsOf(
  data: KubeconfigData,
  options: KubeconfigOptions,
  context: string | undefined,
): ReturnType<typeof connectionOptions> {
  const names = entryNames(data, options, context);
  const source = context === undefined ? 'the command line' : `context ${context}`;
  return connectionOptions(
    {
      cluster: requireEntry(data, 'cluster', names.cluster, source),
      user: requireEntry(data, 'user', names.user, source),
      userName: names.user,
      namespace: context === undefined ? undefined : textField(data.contexts.get(context), 'namespace'),
      source,
    },
    options,
  );
}

/** The entry of that name; undefined for no name. A name without an entry is a mistake in the kubeconfig. */
function requireEntry(
  data: KubeconfigData,
  kind: 'cluster' | 'user',
  name: string,
  source: string,
): ReturnType<KubeconfigData['clusters']['get']> {
  const entries = kind === 'cluster' ? data.clusters : data.users;
  const entry = entries.get(name);
  if (entry !== undefined || name === '') return entry;
  throw new ExpectedError(
    `${source} names the ${kind} ${name}, which is not in the kubeconfig ${data.files.join(', ')}`,
    {
      hint: `There are: ${[...entries.keys()].join(', ') || 'none'}.`,
    },
  );
}

function distinctClusters(all: readonly KubeContext[], current: KubeContext | undefined): readonly KubeContext[] {
  const chosen = new Map<string, KubeContext>();
  for (const context of all) {
    const key = `${context.cluster} ${context.server}`;
    if (!chosen.has(key) || context === current) chosen.set(key, context);
  }
  return [...chosen.values()];
}

function unknownContext(name: string, data: KubeconfigData): ExpectedError {
  const known = [...data.contexts.keys()].join(', ') || 'none';
  return new ExpectedError(`there is no context ${name} in the kubeconfig ${data.files.join(', ')}`, {
    hint: `There are: ${known}.`,
  });
}

function noContext(data: KubeconfigData): ExpectedError {
  const current =
    data.currentContext === undefined
      ? 'names no current context'
      : `has no context ${data.currentContext}, its current one`;
  const known = [...data.contexts.keys()].join(', ') || 'none';
  return new ExpectedError(`the kubeconfig ${data.files.join(', ')} ${current}`, {
    hint: `Choose one with --context. There are: ${known}.`,
  });
}

function inClusterContexts(options: KubeconfigOptions): KubeContexts {
  const context: KubeContext = {
    name: IN_CLUSTER,
    cluster: IN_CLUSTER,
    user: IN_CLUSTER,
    namespace: undefined,
    server: `https://${options.env['KUBERNETES_SERVICE_HOST']}`,
  };
  return { all: [context], current: context, distinct: [context], client: async () => inClusterClient(options.env) };
}
