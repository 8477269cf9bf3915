/** One time series now. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All series of one name. */
export interface Metric {
  readonly name: string;
  /** A counter only ever grows while the process runs. */
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** Content type of the text format. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}

function seriesName(name: string, { labels = {} }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`}`;
}

/**
 * The metrics in Prometheus' text exposition format 0.0.4. Those without a series are left out; of several series with
 * the same labels the first stays, as a scrape with both would be refused whole.
 */
export function renderMetrics(metrics: readonly Metric[]): string {
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .map(({ name, type, help, samples }) => {
      const head = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
      const values = new Map<string, number>();
      for (const sample of samples) {
        const series = seriesName(name, sample);
        if (!values.has(series)) values.set(series, sample.value);
      }
      return head + [...values].map(([series, value]) => `${series} ${numberText(value)}\n`).join('');
    })
    .join('');
}

/**
 * Totals of counters whose source starts again at zero (a tunnel made anew): only ever growing. Each source has a name of
 * its own; what a source counted between the last look and its end is lost.
 */
export class Totals {
  readonly #series = new Map<string, { total: number; sources: ReadonlyMap<string, number> }>();

  /** As of the last look. */
  get last(): ReadonlyMap<string, number> {
    return new Map([...this.#series].map(([name, { total }]) => [name, total]));
  }

  /** Takes what the sources of each series say now and returns the totals; series that are not named are forgotten. */
  take(now: ReadonlyMap<string, ReadonlyMap<string, number>>): ReadonlyMap<string, number> {
    for (const name of this.#series.keys()) if (!now.has(name)) this.#series.delete(name);
    for (const [name, sources] of now) {
      const known = this.#series.get(name);
      const grown = [...sources].map(([source, value]) => {
        const before = known?.sources.get(source) ?? 0;
        return value >= before ? value - before : value;
      });
      const total = (known?.total ?? 0) + grown.reduce((sum, more) => sum + more, 0);
      this.#series.set(name, { total, sources: new Map(sources) });
    }
    return this.last;
  }
}
