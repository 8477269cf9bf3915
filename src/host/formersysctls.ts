import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Ownership } from '../net/ownership.ts';
import type { NetworkPlan } from '../net/plan.ts';
import { sysctlLink } from '../net/state.ts';
import type { Logger } from '../runtime/logger.ts';
import type { CommandRunner } from './command.ts';
import { observeSysctls, setSysctl } from './sysctl.ts';

/** A setting that is not ours, as it was found and as it was left. */
interface Former {
  readonly before: string;
  readonly set: string;
}

/**
 * Settings of the node that an owner changed, in a file, so that they can be put back when it is removed. Settings of the
 * owner's own links go with the links and are not kept. Writing the file never throws: without it nothing is put back.
 */
export class FormerSysctls {
  readonly #file: string;
  readonly #ownership: Ownership;
  readonly #logger: Logger;

  constructor(folder: string, ownership: Ownership, logger: Logger) {
    this.#file = path.join(folder, 'sysctls.json');
    this.#ownership = ownership;
    this.#logger = logger;
  }

  /** To be called before a plan is carried out. When somebody changes a setting again, theirs is the one to put back. */
  note(plan: NetworkPlan): void {
    const foreign = plan.flatMap((step) => {
      if (step.action !== 'setSysctl' || step.from === undefined) return [];
      const link = sysctlLink(step.sysctl.key);
      if (link !== undefined && this.#ownership.links.includes(link)) return [];
      return [[step.sysctl.key, { before: step.from, set: step.sysctl.value }] as const];
    });
    if (foreign.length === 0) return;
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      const all = new Map([...this.#read(), ...foreign]);
      writeFileSync(`${this.#file}.new`, `${JSON.stringify(Object.fromEntries(all), undefined, 1)}\n`);
      renameSync(`${this.#file}.new`, this.#file);
    } catch (error) {
      this.#logger.warn('cannot keep former settings of the kernel', { file: this.#file, error });
    }
  }

  /** Puts back every setting that is still as the owner left it, and forgets them; says which it put back. */
  async restore(runner: CommandRunner): Promise<readonly string[]> {
    const former = this.#read();
    const present = await observeSysctls(runner, [...former.keys()]);
    const restored: string[] = [];
    for (const { key, value } of present) {
      const known = former.get(key);
      if (known === undefined || known.set !== value || known.before === value) continue;
      await setSysctl(runner, { key, value: known.before });
      restored.push(`${key}=${known.before}`);
    }
    rmSync(this.#file, { force: true });
    return restored;
  }

  #read(): ReadonlyMap<string, Former> {
    try {
      return parseFormer(readFileSync(this.#file, 'utf8'));
    } catch {
      return new Map();
    }
  }
}

/** The settings in the text of the file; what is damaged is left out. Throws when it is no JSON. */
export function parseFormer(text: string): ReadonlyMap<string, Former> {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null) return new Map();
  return new Map(
    Object.entries(parsed).flatMap(([key, value]: readonly [string, unknown]) => {
      const { before, set } = (value ?? {}) as { readonly before?: unknown; readonly set?: unknown };
      const sound = /^net\.[\w./-]+$/.test(key) && typeof before === 'string' && typeof set === 'string';
      return sound ? [[key, { before, set }] as const] : [];
    }),
  );
}
