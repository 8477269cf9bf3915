/** Where a command writes: results to stdout, everything else to stderr. */
export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  /** Width in characters; undefined when it is not a terminal. */
  readonly columns?: number | undefined;
  /** Height in lines; undefined when it is not a terminal. */
  readonly rows?: number | undefined;
}

/** The three standard streams as far as commands use them. */
export interface Terminal {
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Whether somebody can answer a question. */
  readonly interactive: boolean;
  /** Everything that is piped into stdin; only to be called when a command is told to read it. */
  readStdin(): Promise<string>;
}

/** Whether colours may be written to a sink: a terminal, no NO_COLOR (https://no-color.org), not TERM=dumb; FORCE_COLOR overrides. */
export function colourAllowed(sink: Sink, env: Readonly<Record<string, string | undefined>>): boolean {
  if (isSet(env['NO_COLOR'])) return false;
  if (isSet(env['FORCE_COLOR'])) return env['FORCE_COLOR'] !== '0';
  return sink.isTTY && env['TERM'] !== 'dumb';
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}
