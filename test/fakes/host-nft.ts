/** nftables of a FakeHost: tables of family inet with sets and chains; a script is one transaction. */

interface FakeSet {
  readonly type: string;
  readonly interval: boolean;
  elements: string[];
}

interface FakeChain {
  base: string;
  rules: string[];
}

interface FakeTable {
  readonly sets: Map<string, FakeSet>;
  readonly chains: Map<string, FakeChain>;
}

/** What nft would print on standard error. */
export class NftError extends Error {}

function words(elements: string): string[] {
  return elements
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '');
}

function wrapped(elements: readonly string[]): string {
  const lines: string[] = [];
  for (let index = 0; index < elements.length; index += 2) lines.push(elements.slice(index, index + 2).join(', '));
  return lines.join(',\n\t\t\t     ');
}

function numeric(element: string): number {
  const [address = ''] = element.split('/');
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export class FakeNft {
  #tables = new Map<string, FakeTable>();

  tableNames(): readonly string[] {
    return [...this.#tables.keys()];
  }

  /** Executes a script; on any error nothing of it has happened. */
  run(script: string): void {
    const before = structuredClone(this.#tables);
    try {
      this.#execute(script.split('\n'));
    } catch (error) {
      this.#tables = before;
      throw error;
    }
  }

  list(name: string): string {
    const table = this.#table(name);
    const lines = [`table inet ${name} {`];
    for (const [set, { type, interval, elements }] of table.sets) {
      lines.push(`\tset ${set} {`, `\t\ttype ${type}`, ...(interval ? ['\t\tflags interval'] : []));
      const sorted = elements.toSorted((a, b) => numeric(a) - numeric(b));
      if (elements.length > 0) lines.push(`\t\telements = { ${wrapped(sorted)} }`);
      lines.push('\t}', '');
    }
    for (const [chain, { base, rules }] of table.chains) {
      lines.push(`\tchain ${chain} {`, ...(base === '' ? [] : [`\t\t${base}`]));
      lines.push(...rules.map((rule) => `\t\t${rule}`), '\t}', '');
    }
    if (lines.at(-1) === '') lines.pop();
    return `${[...lines, '}'].join('\n')}\n`;
  }

  /** A rule somebody else adds, e.g. by hand. */
  addRule(table: string, chain: string, rule: string): void {
    this.#table(table).chains.get(chain)!.rules.push(rule);
  }

  flushChain(table: string, chain: string): void {
    this.#table(table).chains.get(chain)!.rules = [];
  }

  elements(table: string, set: string): readonly string[] {
    return this.#table(table).sets.get(set)?.elements ?? [];
  }

  #table(name: string): FakeTable {
    const table = this.#tables.get(name);
    if (table === undefined) {
      throw new NftError(
        `Error: No such file or directory\nlist table inet ${name}\n                ${'^'.repeat(name.length)}\n`,
      );
    }
    return table;
  }

  #execute(lines: readonly string[]): void {
    let index = 0;
    while (index < lines.length) {
      const line = lines[index]!.trim();
      index += 1;
      const table = /^table inet (\S+)( \{)?$/.exec(line);
      const removed = /^delete table inet (\S+)$/.exec(line);
      const change = /^(add|delete) element inet (\S+) (\S+) \{ (.*) \}$/.exec(line);
      if (line === '') continue;
      if (table !== null) {
        const name = table[1]!;
        if (!this.#tables.has(name)) this.#tables.set(name, { sets: new Map(), chains: new Map() });
        if (table[2] !== undefined) index = this.#block(name, lines, index);
      } else if (removed !== null) {
        this.#table(removed[1]!);
        this.#tables.delete(removed[1]!);
      } else if (change !== null) this.#change(change[1]!, change[2]!, change[3]!, words(change[4]!));
      else throw new NftError(`/dev/stdin:${index}:1-1: Error: syntax error, unexpected string\n${line}\n^\n`);
    }
  }

  /** Reads the body of a table block up to its brace and returns the next line's index. */
  #block(name: string, lines: readonly string[], start: number): number {
    const table = this.#table(name);
    let index = start;
    while (lines[index]!.trim() !== '}') {
      const [kind, object] = lines[index]!.trim().split(' ');
      const body: string[] = [];
      for (index += 1; lines[index]!.trim() !== '}'; index += 1) body.push(lines[index]!.trim());
      index += 1;
      if (kind === 'chain') {
        const base = body[0]?.startsWith('type ') === true ? body[0] : '';
        table.chains.set(object!, { base, rules: base === '' ? body : body.slice(1) });
      } else {
        const text = body.join('\n');
        const elements = words(/elements = \{ (.*) \}/.exec(text)?.[1] ?? '');
        table.sets.set(object!, {
          type: /type (\S+)/.exec(text)![1]!,
          interval: text.includes('flags interval'),
          elements: [],
        });
        this.#change('add', name, object!, elements);
      }
    }
    this.#checkRules(table);
    return index + 1;
  }

  #checkRules(table: FakeTable): void {
    for (const { rules } of table.chains.values()) {
      for (const [, set] of rules.join('\n').matchAll(/@(\w+)/g)) {
        if (!table.sets.has(set!)) throw new NftError(`Error: No such file or directory; did you mean set ‘${set}’?\n`);
      }
    }
  }

  #change(verb: string, tableName: string, setName: string, elements: readonly string[]): void {
    const set = this.#table(tableName).sets.get(setName);
    if (set === undefined) throw new NftError('Error: No such file or directory\n');
    for (const element of elements) {
      if (verb === 'add') {
        if (!set.elements.includes(element)) set.elements.push(element);
      } else if (set.elements.includes(element)) set.elements.splice(set.elements.indexOf(element), 1);
      else throw new NftError('Error: element does not exist\n');
    }
  }
}
