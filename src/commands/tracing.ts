import type { KubeClient } from '../kube/client.ts';
import type { KubeAccess } from './access.ts';

/** The same API servers, with every request told to `log` before it is sent (-v). */
export function traceAccess(access: KubeAccess, log: (line: string) => void): KubeAccess {
  const current = async (): ReturnType<KubeAccess['current']> => {
    const target = await access.current();
    return { ...target, client: traceClient(target.client, log) };
  };
  return {
    contexts: async () => access.contexts(),
    current,
    connect: async (name) => {
      const target = await access.connect(name);
      return { ...target, client: traceClient(target.client, log) };
    },
    broker: async (target) => traceClient(await access.broker(target), log),
  };
}

function traceClient(client: KubeClient, log: (line: string) => void): KubeClient {
  return new Proxy(client, {
    get: (target, property) => {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function') return member;
      return (...args: readonly unknown[]): unknown => {
        log(`${describeCall(String(property), args)} at ${client.server}`);
        return Reflect.apply(member, target, args);
      };
    },
  });
}

/** `apply daemonsets.apps submariner-operator/submariner-gateway`; bodies are left out, they hold secrets. */
function describeCall(verb: string, args: readonly unknown[]): string {
  const words = args.flatMap((arg) => describeArgument(arg) ?? []);
  return [verb, ...words].join(' ');
}

function describeArgument(arg: unknown): string | undefined {
  if (typeof arg === 'string') return arg;
  if (typeof arg !== 'object' || arg === null) return undefined;
  if ('plural' in arg && 'group' in arg) return [arg.plural, arg.group].filter(Boolean).join('.');
  if ('metadata' in arg) return nameOf(arg.metadata);
  return 'namespace' in arg ? `in ${String(arg.namespace)}` : undefined;
}

function nameOf(metadata: unknown): string | undefined {
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  const { name, generateName } = metadata as { readonly name?: string; readonly generateName?: string };
  return name ?? generateName;
}
