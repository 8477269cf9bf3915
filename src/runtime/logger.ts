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
