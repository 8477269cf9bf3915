import { createBrokerClient } from '../kube/brokerclient.ts';
import type { KubeClient } from '../kube/client.ts';
import { type KubeContext, type KubeContexts, loadKubeContexts } from '../kube/kubeconfig.ts';
import { readKubeconfig, textField } from '../kube/kubeconfigfile.ts';
import { proxyFor } from '../kube/proxy.ts';
import type { BrokerTarget, ClusterAccess, KubeAccess } from './access.ts';
import type { CommandContext, ConnectionFlags } from './context.ts';

/** API servers of the kubeconfig that the flags and the environment name. Rejects with ExpectedError when there is none. */
export async function createKubeAccess(flags: ConnectionFlags, { env }: CommandContext): Promise<KubeAccess> {
  const options = { ...flags, env };
  let loaded: KubeContexts | undefined;
  const contexts = (): KubeContexts => (loaded ??= loadKubeContexts(options));
  return {
    contexts: async () => contexts().all,
    current: async () => currentAccess(contexts(), flags),
    connect: async (name) => {
      const found = contexts();
      const client = await found.client(name);
      return accessOf(found.all.find((context) => context.name === name) ?? bareContext(client), client);
    },
    broker: async (target) => brokerClient(target, flags, env),
  };
}

async function currentAccess(contexts: KubeContexts, flags: ConnectionFlags): Promise<ClusterAccess> {
  const client = await contexts.client();
  const current = contexts.current ?? bareContext(client);
  return accessOf({ ...current, server: flags.server ?? current.server }, client);
}

/** What there is to say about a server that no context names (--server). */
function bareContext({ server }: KubeClient): KubeContext {
  const { hostname } = new URL(server);
  return { name: hostname, cluster: hostname, user: '', namespace: undefined, server };
}

function accessOf(context: KubeContext, client: KubeClient): ClusterAccess {
  return { ...context, client };
}

/** The broker's server may be in the kubeconfig too: then it is reached through the same proxy. */
async function brokerClient(
  target: BrokerTarget,
  flags: ConnectionFlags,
  env: CommandContext['env'],
): Promise<KubeClient> {
  const { server, token, ca, namespace, insecure, source } = target;
  const entries = [...(readKubeconfig(flags.kubeconfig, env)?.clusters.values() ?? [])];
  const known = entries.find((entry) => textField(entry, 'server')?.replace(/\/+$/, '') === server);
  const proxyUrl = textField(known, 'proxy-url') ?? proxyFor(server, env);
  const { requestTimeoutMs } = flags;
  return createBrokerClient({ server, token, ca, namespace, insecure, source, proxyUrl, requestTimeoutMs });
}
