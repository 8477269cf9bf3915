import type { ConfigMap, Container, EnvVar, Pod, Secret } from '../../kube/objects.ts';
import { ContainerProblem } from './image.ts';

type StringMap = Readonly<Record<string, string>>;

/** Where the values of a pod's environment and files come from. */
export interface PodFacts {
  readonly pod: Pod;
  readonly podIP: string;
  readonly hostIP: string;
  readonly nodeName: string;
  /** Address of Service `kubernetes`. */
  readonly apiHost: string;
  readonly apiPort: number;
}

/** Reads objects in the pod's namespace; undefined when they are not there. */
export interface PodObjects {
  secret(name: string): Promise<Secret | undefined>;
  configMap(name: string): Promise<ConfigMap | undefined>;
}

interface EnvSource {
  readonly prefix?: string;
  readonly secretRef?: { readonly name?: string; readonly optional?: boolean };
  readonly configMapRef?: { readonly name?: string; readonly optional?: boolean };
}

/** Where programs of a pod are found when its image says nothing else. */
export const POD_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The value of a downward-API field; undefined for one that is not supported. */
export function fieldValue(facts: PodFacts, path: string): string | undefined {
  const { metadata, spec } = facts.pod;
  const keyed = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (keyed !== null) {
    const map = keyed[1] === 'labels' ? metadata.labels : metadata.annotations;
    return map?.[keyed[2] ?? ''] ?? '';
  }
  const fields: StringMap = {
    'metadata.name': metadata.name ?? '',
    'metadata.namespace': metadata.namespace ?? '',
    'metadata.uid': metadata.uid ?? '',
    'spec.nodeName': facts.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName ?? 'default',
    'status.podIP': facts.podIP,
    'status.podIPs': facts.podIP,
    'status.hostIP': facts.hostIP,
    'status.hostIPs': facts.hostIP,
  };
  return fields[path];
}

/** Fills in `$(NAME)` for known names and turns `$$(NAME)` into `$(NAME)`, as Kubernetes does. */
export function expand(text: string, env: StringMap): string {
  return text.replaceAll(/\$(\$?)\(([^)]*)\)/g, (all, escaped: string, name: string) =>
    escaped === '' ? (env[name] ?? all) : `$(${name})`,
  );
}

function decoded(secret: Secret | undefined): StringMap | undefined {
  if (secret === undefined) return undefined;
  const entries = Object.entries(secret.data ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

function missing(what: string): ContainerProblem {
  return new ContainerProblem('CreateContainerConfigError', what);
}

type SourceKind = 'secret' | 'configmap';

async function dataOf(kind: SourceKind, name: string, objects: PodObjects): Promise<StringMap | undefined> {
  return kind === 'secret' ? decoded(await objects.secret(name)) : (await objects.configMap(name))?.data;
}

async function referenced(
  variable: EnvVar,
  source: NonNullable<EnvVar['valueFrom']>,
  objects: PodObjects,
): Promise<string | undefined> {
  const { secretKeyRef, configMapKeyRef } = source;
  const ref = secretKeyRef ?? configMapKeyRef;
  if (ref === undefined) throw missing(`environment variable ${variable.name}: this source is not supported`);
  const kind = secretKeyRef === undefined ? 'configmap' : 'secret';
  const name = ref.name ?? '';
  const data = await dataOf(kind, name, objects);
  if (data?.[ref.key] !== undefined || ref.optional === true) return data?.[ref.key];
  throw missing(
    data === undefined ? `${kind} "${name}" not found` : `couldn't find key ${ref.key} in ${kind} "${name}"`,
  );
}

async function valueOf(
  variable: EnvVar,
  facts: PodFacts,
  objects: PodObjects,
  env: StringMap,
): Promise<string | undefined> {
  const { valueFrom } = variable;
  if (valueFrom === undefined) return expand(variable.value ?? '', env);
  if (valueFrom.fieldRef === undefined) return referenced(variable, valueFrom, objects);
  const value = fieldValue(facts, valueFrom.fieldRef.fieldPath);
  if (value !== undefined) return value;
  throw missing(`environment variable ${variable.name}: field ${valueFrom.fieldRef.fieldPath} is not supported`);
}

async function wholeSource(source: EnvSource, objects: PodObjects): Promise<StringMap> {
  const { prefix = '', secretRef, configMapRef } = source;
  const kind = secretRef === undefined ? 'configmap' : 'secret';
  const { name = '', optional } = secretRef ?? configMapRef ?? {};
  const data = await dataOf(kind, name, objects);
  if (data === undefined && optional !== true) throw missing(`${kind} "${name}" not found`);
  return Object.fromEntries(Object.entries(data ?? {}).map(([key, value]) => [`${prefix}${key}`, value]));
}

/**
 * The whole environment of a container: nothing is inherited from this machine. Rejects with ContainerProblem when a
 * secret or config map that is not optional is missing.
 */
export async function buildEnvironment(
  container: Container & { readonly envFrom?: readonly EnvSource[] },
  imageEnv: StringMap,
  facts: PodFacts,
  objects: PodObjects,
): Promise<StringMap> {
  const env: Record<string, string> = {
    PATH: POD_PATH,
    HOME: '/root',
    HOSTNAME: hostNameOf(facts),
    ...imageEnv,
    KUBERNETES_SERVICE_HOST: facts.apiHost,
    KUBERNETES_SERVICE_PORT: String(facts.apiPort),
    KUBERNETES_SERVICE_PORT_HTTPS: String(facts.apiPort),
  };
  for (const source of container.envFrom ?? []) Object.assign(env, await wholeSource(source, objects));
  for (const variable of container.env ?? []) {
    const value = await valueOf(variable, facts, objects, env);
    if (value !== undefined) env[variable.name] = value;
  }
  return env;
}

/** The host name a pod sees: the node's when it shares its network. */
export function hostNameOf(facts: PodFacts): string {
  return facts.pod.spec.hostNetwork === true ? facts.nodeName : (facts.pod.metadata.name ?? '');
}
