import { dig, same } from './json.ts';
import { type Schema, fieldSchema } from './schema.ts';

/** Values by the names that rules use: self and oldSelf. */
export type Scope = Readonly<Record<'self' | 'oldSelf', unknown>>;

const PATH = '(?:self|oldSelf)(?:\\.[A-Za-z_]\\w*)*';
const OPERAND = `${PATH}|-?\\d+(?:\\.\\d+)?|"[^"\\\\]*"|'[^'\\\\]*'|true|false`;
const HAS = new RegExp(`^(!?)\\s*has\\((${PATH})\\)$`);
const COMPARISON = new RegExp(`^(${OPERAND})\\s*(==|!=|<=|>=|<|>)\\s*(${OPERAND})$`);

function order(a: unknown, b: unknown): number {
  if (typeof a !== typeof b || typeof a === 'object') throw new Error('no such overload');
  return (a as string) < (b as string) ? -1 : Number((a as string) > (b as string));
}

const OPERATORS: Readonly<Record<string, (a: unknown, b: unknown) => boolean>> = {
  '==': same,
  '!=': (a, b) => !same(a, b),
  '<': (a, b) => order(a, b) < 0,
  '<=': (a, b) => order(a, b) <= 0,
  '>': (a, b) => order(a, b) > 0,
  '>=': (a, b) => order(a, b) >= 0,
};

function compilePath(path: string, schema: Schema): (scope: Scope) => unknown {
  const [root = 'self', ...keys] = path.split('.');
  let at: Schema | undefined = schema;
  for (const key of keys) {
    const child: Schema | undefined = at === undefined ? undefined : fieldSchema(at, key);
    if (child === undefined && at?.['x-kubernetes-preserve-unknown-fields'] !== true)
      throw new Error(`undefined field '${key}'`);
    at = child ?? at;
  }
  return (scope) => dig(scope[root as keyof Scope], ...keys);
}

function compileOperand(source: string, schema: Schema): (scope: Scope) => unknown {
  if (/^["']/.test(source)) return () => source.slice(1, -1);
  if (!/^(self|oldSelf)/.test(source)) return () => JSON.parse(source) as unknown;
  const read = compilePath(source, schema);
  return (scope) => {
    const value = read(scope);
    if (value === undefined) throw new Error(`no such key: ${source}`);
    return value;
  };
}

function compileAtom(source: string, schema: Schema): (scope: Scope) => boolean {
  const [, negated, path] = HAS.exec(source) ?? [];
  if (path !== undefined) {
    const read = compilePath(path, schema);
    return (scope) => (negated === '!') !== (read(scope) !== undefined);
  }
  const [, left = '', operator = '', right = ''] = COMPARISON.exec(source) ?? [];
  const compare = OPERATORS[operator];
  if (compare === undefined)
    throw new Error(`"${source}" is not supported by this API server: it knows has(), comparisons, && and ||`);
  const [a, b] = [compileOperand(left, schema), compileOperand(right, schema)];
  return (scope) => compare(a(scope), b(scope));
}

/**
 * Compiles a rule of the Common Expression Language, of which comparisons and has() joined by && and || are understood;
 * throws an Error with the compiler's words for everything else.
 */
export function compileRule(source: string, schema: Schema): (scope: Scope) => boolean {
  const parts = source.split('||').map((part) => part.split('&&').map((atom) => compileAtom(atom.trim(), schema)));
  return (scope) => parts.some((atoms) => atoms.every((atom) => atom(scope)));
}
