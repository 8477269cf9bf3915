import { isObj, list, same } from './json.ts';
import { type Schema } from './schema.ts';

type Env = Readonly<Record<string, unknown>>;

/** One compiled expression: how to run it, what is known of its type, and (for field selections) a presence test. */
interface Node {
  readonly run: (env: Env) => unknown;
  readonly schema?: Schema | undefined;
  readonly present?: (env: Env) => boolean;
}

/** A rule of the Common Expression Language ready to run; the result is not promised to be a boolean. */
export interface Rule {
  readonly run: (self: unknown, oldSelf: unknown) => unknown;
  /** The rule speaks of oldSelf, so it counts for updates only. */
  readonly transition: boolean;
}

const TOKEN =
  /\s*(?:(\d+\.\d+|\d+)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|([A-Za-z_]\w*)|(&&|\|\||[=!<>]=|[-+*/%<>!?:.,()[\]]))/y;

interface Token {
  readonly kind: 'number' | 'string' | 'name' | 'operator' | 'end';
  readonly text: string;
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  let at = 0;
  while (source.slice(at).trim() !== '') {
    TOKEN.lastIndex = at;
    const [whole, number, string, name, operator] = TOKEN.exec(source) ?? [];
    if (whole === undefined) throw new Error(`Syntax error: token recognition error at: '${source.slice(at).trim()}'`);
    at += whole.length;
    if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (string !== undefined) tokens.push({ kind: 'string', text: string });
    else tokens.push({ kind: name === undefined ? 'operator' : 'name', text: name ?? operator ?? '' });
  }
  return tokens;
}

const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];

const compareWith =
  (test: (order: number) => boolean) =>
  (a: unknown, b: unknown): boolean => {
    if (typeof a !== typeof b) throw new Error('no such overload');
    return test((a as string) < (b as string) ? -1 : (a as string) > (b as string) ? 1 : 0);
  };

const BINARY: Readonly<Record<string, (a: unknown, b: unknown) => unknown>> = {
  '==': same,
  '!=': (a, b) => !same(a, b),
  '<': compareWith((order) => order < 0),
  '<=': compareWith((order) => order <= 0),
  '>': compareWith((order) => order > 0),
  '>=': compareWith((order) => order >= 0),
  in: (a, b) => (Array.isArray(b) ? list(b).some((each) => same(each, a)) : isObj(b) && String(a) in b),
  '+': (a, b) =>
    Array.isArray(a) ? [...list(a), ...list(b)] : typeof a === 'string' ? a + String(b) : Number(a) + Number(b),
  '-': (a, b) => Number(a) - Number(b),
  '*': (a, b) => Number(a) * Number(b),
  '/': (a, b) => Math.trunc(Number(a) / Number(b)),
  '%': (a, b) => Number(a) % Number(b),
};

/** `&&` and `||`: an error on one side does not matter when the other side decides. */
const logical =
  (decisive: boolean, left: Node, right: Node) =>
  (env: Env): boolean => {
    try {
      return left.run(env) === decisive ? decisive : right.run(env) === true;
    } catch (error) {
      if (right.run(env) === decisive) return decisive;
      throw error;
    }
  };

const sizeOf = (value: unknown): number =>
  typeof value === 'string' || Array.isArray(value) ? value.length : Object.keys(isObj(value) ? value : {}).length;

const METHODS: Readonly<Record<string, (target: unknown, argument: unknown) => unknown>> = {
  size: sizeOf,
  startsWith: (target, argument) => String(target).startsWith(String(argument)),
  endsWith: (target, argument) => String(target).endsWith(String(argument)),
  contains: (target, argument) => String(target).includes(String(argument)),
  matches: (target, argument) => new RegExp(String(argument), 'u').test(String(target)),
};

const FUNCTIONS: Readonly<Record<string, (argument: unknown) => unknown>> = {
  size: sizeOf,
  int: (v) => Math.trunc(Number(v)),
  double: Number,
  string: String,
};

const items = (value: unknown): unknown[] => (isObj(value) ? Object.keys(value) : list(value));

const MACROS: Readonly<Record<string, (values: unknown[], test: (value: unknown) => unknown) => unknown>> = {
  all: (values, test) => values.every((value) => test(value) === true),
  exists: (values, test) => values.some((value) => test(value) === true),
  exists_one: (values, test) => values.filter((value) => test(value) === true).length === 1,
  filter: (values, test) => values.filter((value) => test(value) === true),
  map: (values, test) => values.map(test),
};

class Parser {
  readonly #tokens: Token[];
  readonly #scope: Map<string, Schema | undefined>;
  constructor(source: string, scope: Map<string, Schema | undefined>) {
    this.#tokens = tokenize(source);
    this.#scope = scope;
  }

  parse(): Node {
    const node = this.#ternary();
    if (this.#tokens.length > 0) throw new Error(`Syntax error: extraneous input '${this.#tokens[0]?.text}'`);
    return node;
  }

  #take(): Token {
    return this.#tokens.shift() ?? { kind: 'end', text: '<EOF>' };
  }

  #accept(text: string): boolean {
    if (this.#tokens[0]?.text !== text || this.#tokens[0].kind === 'string') return false;
    this.#tokens.shift();
    return true;
  }

  #expect(text: string): void {
    if (!this.#accept(text)) throw new Error(`Syntax error: expected '${text}', found '${this.#take().text}'`);
  }

  #ternary(): Node {
    const test = this.#binary(0);
    if (!this.#accept('?')) return test;
    const [yes] = [this.#ternary(), this.#expect(':')];
    const no = this.#ternary();
    return { run: (env) => (test.run(env) === true ? yes : no).run(env) };
  }

  #binary(level: number): Node {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const found = operators.find((operator) => this.#accept(operator));
      if (found === undefined) return left;
      const [a, b] = [left, this.#binary(level + 1)];
      const apply = BINARY[found];
      left = { run: apply === undefined ? logical(found === '||', a, b) : (env) => apply(a.run(env), b.run(env)) };
    }
  }

  #unary(): Node {
    if (this.#accept('!')) {
      const inner = this.#unary();
      return { run: (env) => inner.run(env) !== true };
    }
    if (this.#accept('-')) {
      const inner = this.#unary();
      return { run: (env) => -Number(inner.run(env)) };
    }
    let node = this.#primary();
    for (;;) {
      if (this.#accept('.')) node = this.#member(node);
      else if (this.#accept('[')) {
        const [target, index] = [node, this.#ternary()];
        this.#expect(']');
        node = { run: (env) => select(target.run(env), index.run(env)), schema: childSchema(target.schema) };
      } else return node;
    }
  }

  #primary(): Node {
    const token = this.#take();
    if (token.kind === 'number') return { run: () => Number(token.text) };
    if (token.kind === 'string') return { run: () => unquote(token.text) };
    if (token.text === '(') {
      const [inner] = [this.#ternary(), this.#expect(')')];
      return inner;
    }
    if (token.text === '[') {
      const parts = this.#arguments(']');
      return { run: (env) => parts.map((part) => part.run(env)) };
    }
    if (token.kind === 'name') return this.#name(token.text);
    throw new Error(`Syntax error: mismatched input '${token.text}'`);
  }

  #name(name: string): Node {
    const constant = { true: true, false: false, null: null }[name];
    if (constant !== undefined) return { run: () => constant };
    if (!this.#accept('(')) {
      if (!this.#scope.has(name)) throw new Error(`undeclared reference to '${name}' (in container '')`);
      return { run: (env) => env[name], schema: this.#scope.get(name) };
    }
    const [argument, ...more] = this.#arguments(')');
    if (argument === undefined || more.length > 0)
      throw new Error(`undeclared reference to '${name}' (in container '')`);
    if (name === 'has' && argument.present !== undefined) return { run: argument.present };
    const call = FUNCTIONS[name];
    if (call === undefined) throw new Error(`undeclared reference to '${name}' (in container '')`);
    return { run: (env) => call(argument.run(env)) };
  }

  #arguments(close: string): Node[] {
    const parts: Node[] = [];
    while (!this.#accept(close)) {
      if (parts.length > 0) this.#expect(',');
      parts.push(this.#ternary());
    }
    return parts;
  }

  #member(target: Node): Node {
    const name = this.#take().text;
    if (this.#accept('(')) return name in MACROS ? this.#macro(target, name) : this.#method(target, name);
    const schema = target.schema;
    const field = schema?.properties?.[name];
    const closed = schema?.properties !== undefined && schema['x-kubernetes-preserve-unknown-fields'] !== true;
    if (closed && field === undefined) throw new Error(`undefined field '${name}'`);
    return {
      run: (env) => select(target.run(env), name),
      schema: field ?? childSchema(schema),
      present: (env) => {
        const value = target.run(env);
        return isObj(value) && value[name] !== undefined;
      },
    };
  }

  #method(target: Node, name: string): Node {
    const call = METHODS[name];
    const [argument, ...more] = this.#arguments(')');
    if (call === undefined || more.length > 0) throw new Error(`undeclared reference to '${name}' (in container '')`);
    return { run: (env) => call(target.run(env), argument?.run(env)) };
  }

  #macro(target: Node, name: string): Node {
    const variable = this.#take().text;
    this.#expect(',');
    const shadowed = this.#scope.get(variable);
    this.#scope.set(variable, target.schema?.items);
    const [body] = [this.#ternary(), this.#expect(')')];
    if (shadowed === undefined) this.#scope.delete(variable);
    else this.#scope.set(variable, shadowed);
    return { run: (env) => MACROS[name]?.(items(target.run(env)), (value) => body.run({ ...env, [variable]: value })) };
  }
}

const childSchema = (schema: Schema | undefined): Schema | undefined =>
  schema?.items ?? (typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined);

function select(target: unknown, key: unknown): unknown {
  const found = Array.isArray(target) ? list(target)[Number(key)] : isObj(target) ? target[String(key)] : undefined;
  if (found === undefined) throw new Error(`no such key: ${String(key)}`);
  return found;
}

const unquote = (token: string): string =>
  token.slice(1, -1).replace(/\\(.)/g, (_, char: string) => ({ n: '\n', t: '\t', r: '\r' })[char] ?? char);

/** Compiles a rule against the schema of self; throws an Error with the compiler's words for what is not supported. */
export function compileRule(source: string, schema: Schema): Rule {
  const node = new Parser(
    source,
    new Map([
      ['self', schema],
      ['oldSelf', schema],
    ]),
  ).parse();
  return { run: (self, oldSelf) => node.run({ self, oldSelf }), transition: /\boldSelf\b/.test(source) };
}
