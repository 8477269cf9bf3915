import { readFileSync } from 'node:fs';
import { UsageError, messageOf } from './errors.ts';
import type { Environment } from './process.ts';

interface Common<T> {
  /** Value when the variable is not set or empty; without it the variable is required. */
  readonly default?: T;
}

/** Reads settings one by one and notes every mistake; the value of a wrong one is a placeholder that never gets out. */
export interface ConfigReader {
  string(name: string, options?: Common<string>): string;
  /** undefined when not set or empty. */
  optional(name: string): string | undefined;
  integer(name: string, options?: Common<number> & { readonly min?: number; readonly max?: number }): number;
  /** true, false, 1, 0 (any case). */
  boolean(name: string, options?: Common<boolean>): boolean;
  /** Comma-separated, blanks trimmed, empty items dropped; required means at least one item. */
  list(name: string, options?: Common<readonly string[]>): readonly string[];
  oneOf<const T extends string>(name: string, values: readonly T[], options?: Common<T>): T;
  /** The parsed value of a string; the parser throws to refuse. */
  parsed<T>(name: string, parse: (text: string) => T, placeholder: T, options?: Common<T>): T;
  /** The trimmed content of a file, e.g. of a mounted secret. */
  file(path: string, options?: Common<string>): string;
  /** Notes a mistake that concerns several settings. */
  mistake(text: string): void;
}

/** Builds a configuration from the environment and files; throws one UsageError that lists every mistake. */
export function readConfig<T>(
  env: Environment,
  build: (read: ConfigReader) => T,
  readText: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): T {
  const mistakes: string[] = [];
  const config = build(createReader(env, readText, mistakes));
  if (mistakes.length === 0) return config;
  throw new UsageError(
    `the configuration has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}: ${mistakes.join('; ')}`,
    {
      hint: 'Correct the environment of the container (or the mounted files) and start it again.',
    },
  );
}

function createReader(env: Environment, readText: (path: string) => string, mistakes: string[]): ConfigReader {
  const parsed: ConfigReader['parsed'] = (name, parse, placeholder, options = {}) => {
    const text = env[name]?.trim() ?? '';
    if (text === '') {
      if (options.default !== undefined) return options.default;
      mistakes.push(`${name} is not set`);
      return placeholder;
    }
    try {
      return parse(text);
    } catch (error) {
      mistakes.push(`${name}=${JSON.stringify(text)}: ${messageOf(error)}`);
      return placeholder;
    }
  };
  return {
    parsed,
    optional: (name) => env[name]?.trim() || undefined,
    mistake: (text) => void mistakes.push(text),
    string: (name, options) => parsed(name, (text) => text, '', options),
    integer: (name, options = {}) => parsed(name, (text) => parseInteger(text, options), 0, options),
    boolean: (name, options) => parsed(name, parseBoolean, false, options),
    list: (name, options) => parsed(name, parseList, [], options),
    oneOf: <const V extends string>(name: string, values: readonly V[], options?: Common<V>): V =>
      parsed(name, (text) => parseOneOf(text, values), (values[0] ?? '') as V, options),
    file: (path, options = {}) => {
      try {
        return readText(path).trim();
      } catch (error) {
        if (options.default !== undefined) return options.default;
        mistakes.push(`cannot read ${path}: ${messageOf(error)}`);
        return '';
      }
    },
  };
}

function parseInteger(text: string, { min, max }: { readonly min?: number; readonly max?: number }): number {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) throw new UsageError('is not a whole number');
  if (min !== undefined && value < min) throw new UsageError(`is less than ${min}`);
  if (max !== undefined && value > max) throw new UsageError(`is more than ${max}`);
  return value;
}

function parseBoolean(text: string): boolean {
  if (/^(?:true|1)$/i.test(text)) return true;
  if (/^(?:false|0)$/i.test(text)) return false;
  throw new UsageError('is neither true nor false');
}

function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function parseOneOf<T extends string>(text: string, values: readonly T[]): T {
  const found = values.find((value) => value === text);
  if (found === undefined) throw new UsageError(`is none of ${values.join(', ')}`);
  return found;
}
