import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { DaemonName } from '../../api/daemonstate.ts';
import type { KubeObject, ResourceType } from '../../kube/client.ts';
import { parseYamlDocuments } from '../../kube/yaml.ts';
import { ExpectedError, messageOf, UsageError } from '../../runtime/errors.ts';
import { parseDaemonState, type StateOf } from '../daemonstate.ts';
import {
  type ArchivedCluster,
  type ArchiveIndex,
  FORMAT,
  type GatherFailure,
  INDEX_FILE,
  objectsPath,
  statePath,
} from './format.ts';

/** Larger archives are not what subctl gather writes. */
const MAX_BYTES = 2 ** 31 - 1;
/** Logs and YAML become 10 to 50 times smaller; what grows more than this was made to fill the memory. */
const MAX_RATIO = 100;
/** Enough for the first header of an archive; what is something else is not unpacked. */
const HEAD_BYTES = 8192;
const SMALL_BYTES = 64 * 1024 * 1024;

function maxBytes(compressedBytes: number): number {
  return Math.min(MAX_BYTES, Math.max(SMALL_BYTES, compressedBytes * MAX_RATIO));
}

/** Content of a file of the archive; undefined when there is none of that name. */
type ReadArchived = (file: string) => Promise<Buffer | undefined>;

/** One cluster as it was when the archive was made. */
export interface GatheredCluster extends ArchivedCluster {
  /**
   * All objects of a kind, of all namespaces that were looked at. Rejects with ExpectedError when they were not gathered:
   * that says nothing about whether there are any.
   */
  objects<T extends KubeObject>(type: ResourceType): Promise<readonly T[]>;
  /** What a daemon said of itself; rejects with ExpectedError when that was not gathered. */
  daemonState<Name extends DaemonName>(target: {
    readonly node: string;
    readonly daemon: Name;
  }): Promise<StateOf<Name>>;
  /** Content of one of the files of the index. */
  text(file: string): Promise<string>;
}

/** What subctl gather wrote. */
export interface GatherArchive extends Omit<ArchiveIndex, 'clusters'> {
  readonly file: string;
  readonly clusters: readonly GatheredCluster[];
}

/**
 * Opens an archive (.tar.gz) or the directory that gather --dir made. Rejects with ExpectedError when it cannot be read or
 * is not ours.
 */
export async function openArchive(file: string): Promise<GatherArchive> {
  const stats = await statOf(file);
  // Reading some of them never ends.
  if (stats.isCharacterDevice() || stats.isBlockDevice()) throw notOurs(file, 'it is a device');
  const read = stats.isDirectory() ? directoryReader(file) : await tarReader(file);
  const index = parseIndex(file, await read(INDEX_FILE));
  return { ...index, file, clusters: index.clusters.map((cluster) => gatheredCluster(cluster, read)) };
}

/** The cluster of this name: its ID, its name in the kubeconfig or its context. Throws UsageError for an unknown one. */
export function clusterInArchive(archive: GatherArchive, name: string): GatheredCluster {
  const keys = ['clusterId', 'cluster', 'context'] as const;
  const found = keys.map((key) => archive.clusters.find((cluster) => cluster[key] === name)).find(Boolean);
  if (found !== undefined) return found;
  const known = archive.clusters.map(({ clusterId, cluster }) => clusterId ?? cluster).join(', ');
  throw new UsageError(`${archive.file} has no cluster "${name}"; it has ${known === '' ? 'none' : known}`);
}

async function statOf(file: string): Promise<Stats> {
  try {
    return await stat(file);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ExpectedError(absent ? `there is no file ${file}` : `cannot read ${file}: ${messageOf(error)}`, {
      hint: 'subctl gather writes an archive and prints its name.',
      cause: error,
    });
  }
}

function notOurs(file: string, why: string): ExpectedError {
  return new ExpectedError(`${file} is not an archive of subctl gather: ${why}`, {
    hint: 'Give the .tar.gz that subctl gather wrote, or the directory of subctl gather --dir.',
  });
}

/** Names in the index are taken for what they are: names of files that gather makes, never a way out of the directory. */
function directoryReader(directory: string): ReadArchived {
  return async (file) => {
    const full = path.resolve(directory, file);
    if (!full.startsWith(`${path.resolve(directory)}${path.sep}`)) return undefined;
    try {
      return await readFile(full);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new ExpectedError(`cannot read ${full}: ${messageOf(error)}`, { cause: error });
    }
  };
}

async function tarReader(file: string): Promise<ReadArchived> {
  const [{ constants, gunzipSync }, { readTar, requireTarHeader, TarError }] = await Promise.all([
    import('node:zlib'),
    import('./tar.ts'),
  ]);
  try {
    const packed = await readFile(file);
    if (packed.length === 0) throw new TarError('it is empty');
    requireTarHeader(gunzipSync(packed.subarray(0, HEAD_BYTES), { finishFlush: constants.Z_SYNC_FLUSH }));
    const files = readTar(gunzipSync(packed, { maxOutputLength: maxBytes(packed.length) }));
    const index = files.find((one) => path.posix.basename(one.path) === INDEX_FILE && depth(one.path) <= 1);
    const root = index === undefined ? '' : index.path.slice(0, -INDEX_FILE.length);
    const byName = new Map(files.map((one) => [one.path, one.bytes]));
    return async (name) => byName.get(`${root}${name}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof TarError) throw notOurs(file, error.message);
    if (code === 'Z_BUF_ERROR') throw notOurs(file, 'it ends in the middle');
    if (code === 'ERR_BUFFER_TOO_LARGE') throw notOurs(file, 'it is larger than any of them');
    if (code?.startsWith('Z_') === true) throw notOurs(file, 'it is not compressed with gzip, or damaged');
    throw new ExpectedError(`cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function depth(file: string): number {
  return file.replace(/^\.\//, '').split('/').length - 1;
}

function parseIndex(file: string, bytes: Buffer | undefined): ArchiveIndex {
  if (bytes === undefined) throw notOurs(file, `it has no ${INDEX_FILE}`);
  let index: Partial<ArchiveIndex>;
  try {
    index = JSON.parse(bytes.toString('utf8')) as Partial<ArchiveIndex>;
  } catch {
    throw notOurs(file, `its ${INDEX_FILE} is not JSON`);
  }
  if (index.format !== FORMAT.format || !Array.isArray(index.clusters)) {
    throw notOurs(file, `its ${INDEX_FILE} is of something else`);
  }
  if ((index.formatVersion ?? 0) <= FORMAT.formatVersion) return index as ArchiveIndex;
  throw new ExpectedError(
    `${file} was written by subctl ${index.version ?? 'of an unknown version'}, whose archives this subctl cannot read`,
    { hint: 'Use that version of subctl or a newer one.' },
  );
}

function gatheredCluster(cluster: ArchivedCluster, read: ReadArchived): GatheredCluster {
  const parsed = new Map<string, Promise<readonly KubeObject[]>>();
  const text = async (file: string): Promise<string | undefined> =>
    (await read(`${cluster.directory}/${file}`))?.toString('utf8');
  const objectsIn = async (type: ResourceType): Promise<readonly KubeObject[]> => {
    const found = await text(objectsPath(type));
    if (found === undefined) throw notGathered(cluster, `${type.plural} of`, (failure) => mentions(failure, type));
    return parseYamlDocuments(found) as readonly KubeObject[];
  };
  return {
    ...cluster,
    objects: async <T extends KubeObject>(type: ResourceType) => {
      const key = objectsPath(type);
      const known = parsed.get(key) ?? objectsIn(type);
      parsed.set(key, known);
      return (await known) as readonly T[];
    },
    daemonState: async (target) => {
      const { node, daemon } = target;
      const found = await text(statePath(node, daemon));
      if (found !== undefined) return parseDaemonState(found, target);
      throw notGathered(cluster, `state of the ${daemon} on node ${node} of`, ({ message }) => message.includes(node));
    },
    text: async (file) => {
      const found = await text(file);
      if (found !== undefined) return found;
      throw notGathered(cluster, `${file} of`, () => false);
    },
  };
}

function mentions({ message }: GatherFailure, { plural }: ResourceType): boolean {
  return message.includes(plural);
}

/** Not in the archive; why, as far as gather knew. */
function notGathered(
  { cluster, clusterId, failures }: ArchivedCluster,
  what: string,
  isAbout: (failure: GatherFailure) => boolean,
): ExpectedError {
  const reason = failures.find(isAbout)?.message;
  return new ExpectedError(
    `the archive does not hold the ${what} cluster ${clusterId ?? cluster}${reason === undefined ? '' : `: ${reason}`}`,
    { hint: 'Its README.md lists what is there and what could not be had.' },
  );
}
