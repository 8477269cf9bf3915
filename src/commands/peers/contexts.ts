import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import type { ClusterAccess, KubeAccess } from '../access.ts';
import type { CommandRun, ConnectionFlags } from '../context.ts';
import type { PeerFlags } from './flags.ts';

/** Another kubeconfig keeps only what is not about one user or server. */
async function openOther(run: CommandRun, kubeconfig: string, context: string | undefined): Promise<KubeAccess> {
  const { proxyUrl, requestTimeoutMs, disableCompression } = run.flags.connection;
  const flags: ConnectionFlags = { kubeconfig, context, proxyUrl, requestTimeoutMs, disableCompression };
  return run.context.access(flags, run.context);
}

async function connectTo(run: CommandRun, flag: string, name: string): Promise<ClusterAccess> {
  const access = await run.access();
  const known = await access.contexts();
  if (!known.some((context) => context.name === name)) {
    const names = known.map((context) => context.name).join(', ') || 'none';
    throw new UsageError(`${flag}: the kubeconfig has no context ${name}; it has ${names}`);
  }
  return access.connect(name);
}

async function named(
  run: CommandRun,
  prefix: 'to' | 'extra',
  { context, config }: { readonly context: string | undefined; readonly config: string | undefined },
): Promise<ClusterAccess | undefined> {
  if (config !== undefined) return (await openOther(run, config, context)).current();
  return context === undefined ? undefined : connectTo(run, `--${prefix}context`, context);
}

/** The only other cluster of the kubeconfig; rejects with UsageError unless there is exactly one. */
async function onlyOther(run: CommandRun, first: ClusterAccess): Promise<ClusterAccess> {
  const access = await run.access();
  const others = (await access.contexts()).filter(({ cluster }) => cluster !== first.cluster);
  const [other] = others;
  if (other !== undefined && new Set(others.map(({ cluster }) => cluster)).size === 1)
    return access.connect(other.name);
  const names = others.map(({ name }) => name).join(', ');
  throw new UsageError(
    other === undefined
      ? 'the kubeconfig has one cluster only, and two are needed'
      : `which cluster is the second one? The kubeconfig has ${names}`,
    { hint: 'Name it: --tocontext NAME, with --toconfig FILE when it is in another kubeconfig.' },
  );
}

/**
 * The clusters the flags name: that of --context, that of --tocontext (else the only other one of the kubeconfig), and that
 * of --extracontext, if any. Rejects with UsageError when it is not clear which are meant.
 */
export async function peerContexts(run: CommandRun, flags: PeerFlags): Promise<readonly ClusterAccess[]> {
  const first = await (await run.access()).current();
  const to = await named(run, 'to', { context: flags.tocontext, config: flags.toconfig });
  const extra = await named(run, 'extra', { context: flags.extracontext, config: flags.extraconfig });
  return [first, to ?? (await onlyOther(run, first)), ...(extra === undefined ? [] : [extra])];
}

/** Throws when two of the clusters are the same, by the uid of namespace kube-system. */
export function refuseSame(clusters: readonly { readonly name: string; readonly uid: string }[]): void {
  for (const [index, one] of clusters.entries()) {
    const same = clusters.slice(index + 1).find(({ uid }) => uid === one.uid);
    if (same === undefined) continue;
    throw new ExpectedError(
      same.name === one.name
        ? `context ${one.name} is given twice`
        : `contexts ${one.name} and ${same.name} are the same cluster`,
      { hint: 'Give contexts of different clusters with --context and --tocontext.' },
    );
  }
}
