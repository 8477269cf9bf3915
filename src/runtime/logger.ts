import { inspect } from 'node:util';

/** Values that go with a static log message. */
export type LogFields = Readonly<Record<string, unknown>>;

/** error = a human must look; warn = retrying; info = state changed; debug = every command with its duration. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger;
}

const LEVELS = ['error', 'warn', 'info', 'debug'] as const;

/** The least serious level that is written; `silent` writes nothing. */
export type LogLevel = (typeof LEVELS)[number] | 'silent';

/** The level a text names, e.g. of an environment variable; undefined when it names none. */
export function parseLogLevel(text: string): LogLevel | undefined {
  return [...LEVELS, 'silent' as const].find((level) => level === text.toLowerCase());
}

export interface LoggerOptions {
  /** Default info. */
  readonly level?: LogLevel;
  /** json: one object a line; text: `time LEVEL message key=value …`. Default text. */
  readonly format?: 'json' | 'text';
  /** Receives whole lines with their line feed. */
  readonly write: (line: string) => void;
  /** Milliseconds since the epoch; default Date.now. */
  readonly now?: () => number;
  readonly fields?: LogFields;
}

/** A logger that writes one line an entry; never throws, whatever the fields hold. */
export function createLogger(options: LoggerOptions): Logger {
  const { level = 'info', format = 'text', write, now = Date.now, fields: base = {} } = options;
  const enabled = level === 'silent' ? -1 : LEVELS.indexOf(level);
  const at =
    (own: number) =>
    (message: string, fields: LogFields = {}): void => {
      if (own > enabled) return;
      const name = LEVELS[own] ?? 'error';
      const all = { ...base, ...fields };
      const time = new Date(now()).toISOString();
      write(format === 'json' ? jsonLine(time, name, message, all) : textLine(time, name, message, all));
    };
  return {
    error: at(0),
    warn: at(1),
    info: at(2),
    debug: at(3),
    with: (fields) => createLogger({ ...options, fields: { ...base, ...fields } }),
  };
}

/** A logger that drops everything. */
export const silentLogger: Logger = createLogger({ level: 'silent', write: () => undefined });

function jsonLine(time: string, level: string, message: string, fields: LogFields): string {
  const entry = { time, level, message, ...fields };
  try {
    return `${JSON.stringify(entry, (_key, value: unknown) => plain(value))}\n`;
  } catch {
    return `${JSON.stringify({ time, level, message, fields: inspect(fields) })}\n`;
  }
}

/** Errors and big integers as JSON can carry them. */
function plain(value: unknown): unknown {
  if (value instanceof Error) return describeError(value);
  return typeof value === 'bigint' ? value.toString() : value;
}

function textLine(time: string, level: string, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${textValue(value)}`);
  return `${time} ${level.toUpperCase().padEnd(5)} ${message}${pairs.join('')}\n`;
}

function textValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(describeError(value));
  if (typeof value === 'string') return /^[\w.:/@%+,-]+$/.test(value) ? value : JSON.stringify(value);
  try {
    return JSON.stringify(value, (_key, inner: unknown) => plain(inner)) ?? 'undefined';
  } catch {
    return JSON.stringify(inspect(value));
  }
}

/** Message and causes of an error; its stack when it is a bug and not something the operator can act on. */
function describeError(error: Error): string {
  const expected = 'hint' in error;
  const text = expected || error.stack === undefined ? error.message : error.stack;
  return error.cause instanceof Error && !expected ? `${text}; caused by: ${describeError(error.cause)}` : text;
}
