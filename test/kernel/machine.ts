/** What the tests in a guest are. */
export interface Job {
  /** Folder of this project, at the same place in the guest. */
  readonly repo: string;
  /** Shell words to run there. */
  readonly run: string;
  /** How many times slower than the host the guest may be. */
  readonly patience: number;
}

/** A program that is a guest: it boots, runs the job and ends. */
export interface Guest {
  readonly argv: readonly string[];
  /** Ends what the guest needs beside itself. */
  close(): Promise<void>;
}

/** A way to boot a kernel. */
export interface Machine {
  readonly name: string;
  /** Fetches and builds what is missing; `say` tells what takes long. */
  prepare(say: (text: string) => void, signal: AbortSignal): Promise<void>;
  start(job: Job, signal: AbortSignal): Promise<Guest>;
}

/** The machine cannot be had here, for a reason that is no failure. */
export class NotHere extends Error {}

/** Words of the kernel's command line that guest-init.sh reads. */
export function guestWords(job: Job, modules: string, load: readonly string[]): readonly string[] {
  const words = { repo: job.repo, modules, load: load.join(','), patience: String(job.patience), run: job.run };
  return Object.entries(words).map(([key, value]) => `subctl_${key}=${value.replaceAll(' ', '%20')}`);
}
