import type { Clock } from '../runtime/clock.ts';
import type { KubeAccess } from './access.ts';
import type { OutputFormat } from './output.ts';
import type { Prompter } from './prompt.ts';
import type { Reporter } from './reporter.ts';
import type { Terminal } from './terminal.ts';

/** The kubectl-like flags that say which API server to talk to and as whom. */
export interface ConnectionFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  /** Contexts to loop over; undefined means all. */
  readonly contexts?: readonly string[] | undefined;
  readonly cluster?: string | undefined;
  readonly user?: string | undefined;
  readonly server?: string | undefined;
  readonly token?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly as?: string | undefined;
  readonly asUid?: string | undefined;
  readonly asGroup?: readonly string[] | undefined;
  readonly clientCertificate?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly certificateAuthority?: string | undefined;
  readonly insecureSkipTlsVerify?: boolean | undefined;
  readonly tlsServerName?: string | undefined;
  readonly proxyUrl?: string | undefined;
  readonly disableCompression?: boolean | undefined;
  /** Longest time of one request in milliseconds; undefined or 0 means no limit. */
  readonly requestTimeoutMs?: number | undefined;
}

/** Flags every command has. */
export interface GlobalFlags {
  readonly output: OutputFormat;
  /** Whether -o was given. */
  readonly outputGiven: boolean;
  /** Longest time of all waiting of the command, in milliseconds; undefined when not given. */
  readonly timeoutMs: number | undefined;
  /** Answer questions with the default. */
  readonly yes: boolean;
  /** -1 with -q, else how often -v was given. */
  readonly verbosity: number;
  readonly connection: ConnectionFlags;
}

/** What commands are given by the program that hosts them; tests give fakes. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Relative paths in arguments are relative to this directory. */
  readonly cwd: string;
  /** Version of subctl, also the default tag of images. */
  readonly version: string;
  /** The folder with crds/ broker/ engine/ routeagent/. */
  readonly templatesDir: string;
  readonly clock: Clock;
  /** Aborted by SIGINT and SIGTERM; without a call of this function they end the process at once, which every command survives. */
  readonly interrupted: () => AbortSignal;
  readonly access: (flags: ConnectionFlags, context: CommandContext) => Promise<KubeAccess>;
  readonly prompter: Prompter;
}

/** One run of one command. */
export interface CommandRun {
  readonly context: CommandContext;
  readonly flags: GlobalFlags;
  /** Whether an option of the command was given, and is not only its default. */
  readonly given: (option: string) => boolean;
  readonly reporter: Reporter;
  /** Writes a result to stdout. */
  readonly print: (text: string) => void;
  /** API servers of the kubeconfig; loads it at the first call. */
  readonly access: () => Promise<KubeAccess>;
}
