/** Kubeconfig files as data: reading and merging, as kubectl does. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import { parseYamlDocuments } from './yaml.ts';

type Fields = Readonly<Record<string, unknown>>;

/** One named entry; `dir` is the folder of its file, to which paths in it are relative. */
export interface KubeconfigEntry {
  readonly fields: Fields;
  readonly dir: string;
}

/** Entries by name; of entries with one name the first file's counts. */
export interface KubeconfigData {
  readonly clusters: ReadonlyMap<string, KubeconfigEntry>;
  readonly users: ReadonlyMap<string, KubeconfigEntry>;
  readonly contexts: ReadonlyMap<string, KubeconfigEntry>;
  readonly currentContext: string | undefined;
  /** The files read, for messages. */
  readonly files: readonly string[];
}

/** A text field of an entry; undefined when absent or empty. */
export function textField(entry: KubeconfigEntry | undefined, name: string): string | undefined {
  const value = entry?.fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A path in an entry, made absolute. */
export function pathField(entry: KubeconfigEntry | undefined, name: string): string | undefined {
  const path = textField(entry, name);
  return path === undefined || entry === undefined || isAbsolute(path) ? path : join(entry.dir, path);
}

/**
 * The kubeconfig of `--kubeconfig FILE` (which must exist), else of $KUBECONFIG (several files, missing ones do not count),
 * else of ~/.kube/config; undefined when there is none. Throws ExpectedError naming the file that cannot be used.
 */
export function readKubeconfig(
  explicit: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): KubeconfigData | undefined {
  if (explicit !== undefined && explicit !== '')
    return merge(
      [readFile(explicit)].filter((file) => file !== undefined),
      explicit,
    );
  const files = kubeconfigPaths(env).flatMap((path) => readFile(path, 'may be missing') ?? []);
  return files.length === 0 ? undefined : merge(files);
}

/** The files that are looked at when no flag names one. */
export function kubeconfigPaths(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const listed = (env['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '');
  if (listed.length > 0) return listed;
  const home = env['HOME'];
  return home === undefined || home === '' ? [] : [join(home, '.kube', 'config')];
}

interface ParsedFile {
  readonly path: string;
  readonly content: Fields;
}

function readFile(path: string, missing?: 'may be missing'): ParsedFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (missing !== undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ExpectedError(`cannot read the kubeconfig ${path}: ${messageOf(error)}`, {
      hint: 'Name a readable file with --kubeconfig or KUBECONFIG.',
      cause: error,
    });
  }
  return { path, content: parse(text, path) };
}

function parse(text: string, path: string): Fields {
  const damaged = (what: string): ExpectedError =>
    new ExpectedError(`the kubeconfig ${path} cannot be used: ${what}`, {
      hint: `Try: kubectl --kubeconfig ${path} config view`,
    });
  let documents: readonly unknown[];
  try {
    documents = parseYamlDocuments(text);
  } catch (error) {
    throw damaged(messageOf(error).split('\n')[0] ?? 'no YAML');
  }
  const [content = {}] = documents;
  if (typeof content !== 'object' || Array.isArray(content)) throw damaged('it is no kubeconfig');
  return content as Fields;
}

function merge(files: readonly ParsedFile[], explicit?: string): KubeconfigData {
  const collect = (section: string, inner: string): ReadonlyMap<string, KubeconfigEntry> => {
    const entries = new Map<string, KubeconfigEntry>();
    for (const { path, content } of files) {
      for (const [name, fields] of namedEntries(content[section], inner)) {
        if (!entries.has(name)) entries.set(name, { fields, dir: dirname(path) });
      }
    }
    return entries;
  };
  const current = files
    .map(({ content }) => content['current-context'])
    .find((name) => typeof name === 'string' && name !== '');
  return {
    clusters: collect('clusters', 'cluster'),
    users: collect('users', 'user'),
    contexts: collect('contexts', 'context'),
    currentContext: typeof current === 'string' ? current : undefined,
    files: explicit === undefined ? files.map(({ path }) => path) : [explicit],
  };
}

function namedEntries(section: unknown, inner: string): readonly (readonly [string, Fields])[] {
  if (!Array.isArray(section)) return [];
  return section.flatMap((item: unknown) => {
    const { name, [inner]: fields } = (item ?? {}) as Fields;
    if (typeof name !== 'string' || name === '') return [];
    return [[name, (typeof fields === 'object' && fields !== null ? fields : {}) as Fields] as const];
  });
}
