import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Logger } from '../../runtime/logger.ts';
import type { Decision } from './discovery.ts';

/**
 * What earlier processes decided, kept in a file of the state folder, so that a restarted engine goes on with the
 * tunnels it finds. Losing it costs one discovery: reading and writing never throw.
 */
export class DecisionMemory {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #decisions: Map<string, Decision>;
  #written: string;

  constructor(stateDir: string, logger: Logger) {
    this.#file = path.join(stateDir, 'natdiscovery.json');
    this.#logger = logger;
    this.#decisions = parseDecisions(readText(this.#file));
    this.#written = this.#text();
  }

  get(cableName: string): Decision | undefined {
    return this.#decisions.get(cableName);
  }

  /** Remembers exactly these. */
  save(decisions: ReadonlyMap<string, Decision>): void {
    this.#decisions.clear();
    for (const [name, decision] of decisions) this.#decisions.set(name, decision);
    const text = this.#text();
    if (text === this.#written) return;
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true });
      writeFileSync(`${this.#file}.new`, text);
      renameSync(`${this.#file}.new`, this.#file);
      this.#written = text;
    } catch (error) {
      this.#logger.warn('cannot remember how remote gateways are reached', { file: this.#file, error });
    }
  }

  #text(): string {
    return `${JSON.stringify(Object.fromEntries([...this.#decisions].sort(([a], [b]) => (a < b ? -1 : 1))), null, 1)}\n`;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '{}';
  }
}

/** The decisions in a text; what is damaged is left out. */
export function parseDecisions(text: string): Map<string, Decision> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return new Map();
  }
  if (typeof parsed !== 'object' || parsed === null) return new Map();
  return new Map(
    Object.entries(parsed).flatMap(([name, value]: [string, unknown]) => {
      const { usingIp, usingNat } = (value ?? {}) as { readonly usingIp?: unknown; readonly usingNat?: unknown };
      if (typeof usingIp !== 'string' || usingIp === '' || typeof usingNat !== 'boolean') return [];
      return [[name, { usingIp, usingNat, origin: 'remembered' }] as const];
    }),
  );
}
