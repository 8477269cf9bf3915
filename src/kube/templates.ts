import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../runtime/errors.ts';
import type { KubeObject } from './client.ts';
import { parseYamlDocuments } from './yaml.ts';

/** The values templates are filled with; undefined drops the key or list item that is exactly that variable. */
export type TemplateValues = Readonly<Record<string, unknown>>;

/**
 * The manifests of a folder (*.yaml in order of their names) with `${name}` replaced by values. A plain scalar that is
 * exactly `${name}` takes the value with its type; in quotes numbers and booleans become text, lists and objects stay;
 * `${name?}` drops the key or list item also when the value is what Go templates call empty (no text, false, 0, nothing in it);
 * inside a longer text values are printed; `$${` is a plain `${`. Throws when a file is no YAML, uses an unknown variable or
 * holds something that is no Kubernetes object: a mistake of ours, not of the operator.
 */
export function renderTemplates(dir: string, values: TemplateValues): readonly KubeObject[] {
  return textsOf(dir).flatMap(({ path, text }) => told(path, () => renderTemplate(text, values)));
}

function textsOf(dir: string): readonly { readonly path: string; readonly text: string }[] {
  const files = readdirSync(dir).filter((file) => /\.ya?ml$/.test(file));
  return files.sort().map((file) => ({ path: join(dir, file), text: readFileSync(join(dir, file), 'utf8') }));
}

/** What `read` gives; its errors name the file. */
function told<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** What the manifests of a folder are, with every variable left empty: enough to find them again in a cluster. */
export function objectsOfTemplates(dir: string): readonly KubeObject[] {
  return textsOf(dir).flatMap(({ path, text }) => told(path, () => fill(text, () => '').map(asObject)));
}

/** The manifests of one YAML text; see renderTemplates. */
export function renderTemplate(text: string, values: TemplateValues): readonly KubeObject[] {
  const unknown = new Set<string>();
  const look = (name: string): unknown => {
    if (!Object.hasOwn(values, name)) unknown.add(name);
    return values[name];
  };
  const documents = fill(text, look);
  if (unknown.size > 0) throw new Error(`unknown variables: ${[...unknown].sort().join(', ')}`);
  return documents.map(asObject);
}

function fill(text: string, look: (name: string) => unknown): readonly unknown[] {
  const documents = parseYamlDocuments(protect(text), (scalar, quoted) => fillText(scalar, quoted, look));
  return documents.map(withoutUndefined);
}

/**
 * While YAML is parsed, characters for private use stand for `${`, `}` and `$${`: braces would end a plain scalar in a
 * flow mapping.
 */
function protect(text: string): string {
  return text.replaceAll('$${', '\uE002').replaceAll(/\$\{([^}\n]*)\}/g, '\uE000$1\uE001');
}

function fillText(scalar: string, quoted: boolean, look: (name: string) => unknown): unknown {
  const only = /^\uE000([^\uE001?]*)(\??)\uE001$/.exec(scalar);
  if (only !== null) {
    const value = look(only[1] ?? '');
    if (only[2] === '?' && isEmpty(value)) return undefined;
    return quoted && value !== undefined && typeof value !== 'object' ? print(value) : value;
  }
  return scalar
    .replaceAll(/\uE000([^\uE001]*)\uE001/g, (_, name: string) => print(look(name)))
    .replaceAll('\uE002', '${');
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === '' || value === false || value === 0 || value === null;
}

function print(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function withoutUndefined(node: unknown): unknown {
  if (Array.isArray(node)) return node.filter((item) => item !== undefined).map(withoutUndefined);
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutUndefined(value)]));
}

function asObject(document: unknown): KubeObject {
  const object = document as Partial<KubeObject> | null;
  if (object?.apiVersion === undefined || object.kind === undefined || object.metadata?.name === undefined) {
    throw new Error(`not a Kubernetes object: ${JSON.stringify(document).slice(0, 100)}`);
  }
  return object as KubeObject;
}
