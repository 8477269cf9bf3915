import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Container, Pod, Volume } from '../../kube/objects.ts';
import { fieldValue, type PodFacts, type PodObjects } from './environment.ts';
import { ContainerProblem } from './image.ts';

/** A file of a volume, `path` relative to it. */
export interface VolumeFile {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** Gives the token of a pod's service account for an audience, renewed in time. */
export type TokenSource = (audience: string | undefined, expirationSeconds: number) => Promise<string>;

interface Item {
  readonly key: string;
  readonly path: string;
  readonly mode?: number;
}

interface KeyedSource {
  readonly name?: string;
  readonly secretName?: string;
  readonly optional?: boolean;
  readonly defaultMode?: number;
  readonly items?: readonly Item[];
}

interface ProjectedSource {
  readonly secret?: KeyedSource;
  readonly configMap?: KeyedSource;
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly downwardAPI?: {
    readonly items?: readonly { readonly path: string; readonly fieldRef?: { readonly fieldPath: string } }[];
  };
}

/** Where a pod's service account is mounted. */
export const ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Name of the volume that is added when the API server has not added one. */
const ACCOUNT_VOLUME = 'kube-api-access';

const DEFAULT_MODE = 0o644;
const TOKEN_SECONDS = 3607;

/** The volume a kubelet's API server adds to every pod: token, CA certificate and namespace. */
const ACCOUNT: Volume = {
  name: ACCOUNT_VOLUME,
  projected: {
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
    ],
  },
};

function wantsAccount(pod: Pod, container: Container): boolean {
  if (pod.spec.automountServiceAccountToken === false) return false;
  return !(container.volumeMounts ?? []).some((mount) => mount.mountPath === ACCOUNT_DIR);
}

/** The volumes of a pod, with its service account when no container mounts one itself. */
export function volumesOf(pod: Pod): readonly Volume[] {
  const own = pod.spec.volumes ?? [];
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  return containers.some((container) => wantsAccount(pod, container)) ? [...own, ACCOUNT] : own;
}

/** The mounts of a container, with the service account. */
export function mountsOf(pod: Pod, container: Container): NonNullable<Container['volumeMounts']> {
  const own = container.volumeMounts ?? [];
  if (!wantsAccount(pod, container)) return own;
  return [...own, { name: ACCOUNT_VOLUME, mountPath: ACCOUNT_DIR, readOnly: true }];
}

function problem(message: string): ContainerProblem {
  return new ContainerProblem('ContainerCreating', message);
}

function pick(data: Readonly<Record<string, Buffer>>, source: KeyedSource, what: string): readonly VolumeFile[] {
  const mode = source.defaultMode ?? DEFAULT_MODE;
  if (source.items === undefined) {
    return Object.entries(data).map(([key, content]) => ({ path: key, content, mode }));
  }
  return source.items.flatMap((item) => {
    const content = data[item.key];
    if (content === undefined && source.optional === true) return [];
    if (content === undefined) throw problem(`${what} has no key ${item.key}`);
    return [{ path: item.path, content, mode: item.mode ?? mode }];
  });
}

function buffers(
  data: Readonly<Record<string, string>> | undefined,
  encoding: 'base64' | 'utf8',
): Readonly<Record<string, Buffer>> {
  return Object.fromEntries(Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)]));
}

async function secretFiles(source: KeyedSource, objects: PodObjects): Promise<readonly VolumeFile[]> {
  const name = source.secretName ?? source.name ?? '';
  const secret = await objects.secret(name);
  if (secret === undefined && source.optional === true) return [];
  if (secret === undefined) throw problem(`secret "${name}" not found`);
  return pick(buffers(secret.data, 'base64'), source, `secret "${name}"`);
}

async function configMapFiles(source: KeyedSource, objects: PodObjects): Promise<readonly VolumeFile[]> {
  const name = source.name ?? '';
  const map = await objects.configMap(name);
  if (map === undefined && source.optional === true) return [];
  if (map === undefined) throw problem(`configmap "${name}" not found`);
  return pick({ ...buffers(map.data, 'utf8'), ...buffers(map.binaryData, 'base64') }, source, `configmap "${name}"`);
}

function downwardFiles(source: NonNullable<ProjectedSource['downwardAPI']>, facts: PodFacts): readonly VolumeFile[] {
  return (source.items ?? []).map((item) => {
    const value = item.fieldRef === undefined ? undefined : fieldValue(facts, item.fieldRef.fieldPath);
    if (value === undefined) throw problem(`the downward API file ${item.path} asks for a field that is not supported`);
    return { path: item.path, content: Buffer.from(value), mode: DEFAULT_MODE };
  });
}

async function projectedFiles(
  source: ProjectedSource,
  facts: PodFacts,
  objects: PodObjects,
  token: TokenSource,
): Promise<readonly VolumeFile[]> {
  if (source.secret !== undefined) return secretFiles(source.secret, objects);
  if (source.configMap !== undefined) return configMapFiles(source.configMap, objects);
  if (source.downwardAPI !== undefined) return downwardFiles(source.downwardAPI, facts);
  if (source.serviceAccountToken === undefined) throw problem('a projected volume has a source that is not supported');
  const { path: file, audience, expirationSeconds = TOKEN_SECONDS } = source.serviceAccountToken;
  return [{ path: file, content: Buffer.from(await token(audience, expirationSeconds)), mode: DEFAULT_MODE }];
}

/**
 * The files of a volume that comes from the API server, undefined for one that is a directory of its own. Rejects with
 * ContainerProblem when something that is not optional is missing.
 */
export async function volumeFiles(
  volume: Volume,
  facts: PodFacts,
  objects: PodObjects,
  token: TokenSource,
): Promise<readonly VolumeFile[] | undefined> {
  if (volume.secret !== undefined) return secretFiles(volume.secret, objects);
  if (volume.configMap !== undefined) return configMapFiles(volume.configMap, objects);
  if (volume.projected === undefined) return undefined;
  const sources = (volume.projected.sources ?? []) as readonly ProjectedSource[];
  const files = await Promise.all(sources.map((source) => projectedFiles(source, facts, objects, token)));
  return files.flat();
}

function sameContent(file: string, wanted: VolumeFile): boolean {
  try {
    return readFileSync(file).equals(wanted.content) && (statSync(file).mode & 0o777) === wanted.mode;
  } catch {
    return false;
  }
}

function listFiles(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)));
}

/** Makes a directory hold exactly these files, each replaced in one step and only when it differs. */
export function writeVolume(directory: string, files: readonly VolumeFile[]): void {
  mkdirSync(directory, { recursive: true });
  for (const wanted of files) {
    const file = path.join(directory, path.normalize(`/${wanted.path}`));
    if (sameContent(file, wanted)) continue;
    mkdirSync(path.dirname(file), { recursive: true });
    const temporary = path.join(path.dirname(file), `..new-${randomBytes(4).toString('hex')}`);
    writeFileSync(temporary, wanted.content);
    chmodSync(temporary, wanted.mode);
    renameSync(temporary, file);
  }
  const kept = new Set(files.map((file) => path.normalize(`/${file.path}`)));
  for (const file of listFiles(directory)) if (!kept.has(`/${file}`)) rmSync(path.join(directory, file));
}
