import type { Distribution } from './measurements.ts';

/** The value below which a share of the sorted values lies (nearest rank); 0 when there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

const rounded = (value: number): number => Math.round(value * 10_000) / 10_000;

/** Count, extremes, mean, percentiles and standard deviation of values, rounded to four decimals; zeros when there are none. */
export function describeDistribution(values: Iterable<number>): Distribution {
  const sorted = Float64Array.from(values).sort();
  const count = sorted.length;
  const mean = count === 0 ? 0 : sorted.reduce((sum, value) => sum + value, 0) / count;
  const squares = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    count,
    min: rounded(sorted[0] ?? 0),
    mean: rounded(mean),
    p50: rounded(percentile(sorted, 0.5)),
    p90: rounded(percentile(sorted, 0.9)),
    p99: rounded(percentile(sorted, 0.99)),
    p999: rounded(percentile(sorted, 0.999)),
    max: rounded(sorted.at(-1) ?? 0),
    stdDev: rounded(count === 0 ? 0 : Math.sqrt(squares / count)),
  };
}
