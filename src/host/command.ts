/** How one program run is limited and fed. */
export interface RunOptions {
  readonly stdin?: string;
  /** Default 10 s; the run is killed and rejects when it is over. */
  readonly timeoutMs?: number;
  /** Exit codes that do not reject; default [0]. */
  readonly okExitCodes?: readonly number[];
  readonly signal?: AbortSignal;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs programs without a shell, LC_ALL=C, every run debug-logged in pasteable form. Rejects with CommandError. */
export interface CommandRunner {
  run(file: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
}
