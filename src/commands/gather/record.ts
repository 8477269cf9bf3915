import { renderYaml } from '../../kube/yaml.ts';
import type { Collecting } from './collector.ts';
import type { ArchivedFile, GatherFailure } from './format.ts';
import type { Redactor } from './redact.ts';
import type { Sink } from './sink.ts';

type Writers = Pick<Collecting, 'write' | 'writeJson' | 'writeYaml' | 'fail'>;

/** Notes what of one cluster came into the archive and what did not. Nothing is added once it is closed. */
export class ClusterRecord {
  readonly #sink: Sink;
  readonly #redactor: Redactor;
  readonly #directory: string;
  readonly #files = new Map<string, ArchivedFile>();
  readonly #failures = new Map<string, GatherFailure>();
  #closed = false;

  constructor(sink: Sink, redactor: Redactor, directory: string) {
    this.#sink = sink;
    this.#redactor = redactor;
    this.#directory = directory;
  }

  /** By path. */
  get files(): readonly ArchivedFile[] {
    return [...this.#files.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** By collector. */
  get failures(): readonly GatherFailure[] {
    return [...this.#failures].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, failure]) => failure);
  }

  /** Collectors that were given up may still come with something. */
  close(): void {
    this.#closed = true;
  }

  /** The same failure is noted once. */
  fail(collector: string, message: string): void {
    if (this.#closed) return;
    const clean = this.#redactor.text(message);
    this.#failures.set(`${collector} ${clean}`, { collector, message: clean });
  }

  /** How a collector adds to the record. */
  writers(collector: string): Writers {
    const add = async (path: string, what: string, clean: string): Promise<void> => {
      if (this.#closed) return;
      this.#files.set(path, { path, what, bytes: Buffer.byteLength(clean) });
      await this.#sink.add(`${this.#directory}/${path}`, clean);
    };
    return {
      write: async (path, what, text) => add(path, what, this.#redactor.text(text)),
      writeJson: async (path, what, value) =>
        add(path, what, `${JSON.stringify(this.#redactor.object(value), undefined, 2)}\n`),
      writeYaml: async (path, what, objects) => {
        const documents = objects.map((object) => `---\n${renderYaml(this.#redactor.object(object))}`);
        await add(path, what, documents.join(''));
      },
      fail: (message) => this.fail(collector, message),
    };
  }
}
