/** Durations as Go writes and reads them (time.Duration), e.g. 1.2345ms, 1m30s. */

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** The Go text of a duration given in milliseconds, rounded to nanoseconds; `0s` for what is not a finite number. */
export function formatGoDuration(milliseconds: number): string {
  const total = Math.round(Math.abs(milliseconds) * 1e6);
  if (!Number.isFinite(total) || total === 0) return '0s';
  const sign = milliseconds < 0 ? '-' : '';
  if (total < 1e3) return `${sign}${total}ns`;
  if (total < 1e6) return `${sign}${fraction(total, 3)}µs`;
  if (total < 1e9) return `${sign}${fraction(total, 6)}ms`;
  const minutes = Math.floor(total / 60e9);
  const seconds = `${fraction(total - minutes * 60e9, 9)}s`;
  if (minutes === 0) return sign + seconds;
  if (minutes < 60) return `${sign}${minutes}m${seconds}`;
  return `${sign}${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}

/** Milliseconds of a Go duration text; undefined for anything else. */
export function parseGoDuration(text: string): number | undefined {
  if (/^[+-]?0$/.test(text)) return 0;
  if (!/^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|[uµμ]s|ms|s|m|h))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+\.?\d*|\.\d+)(ns|[uµμ]s|ms|s|m|h)/g)];
  const total = parts.reduce((sum, [, value, unit]) => sum + Number(value) * (UNITS_MS[String(unit)] ?? 0), 0);
  return text.startsWith('-') ? -total : total;
}

/** A whole number divided by a power of ten, exactly, without trailing zeros. */
function fraction(value: number, digits: number): string {
  const text = String(value).padStart(digits + 1, '0');
  const rest = text.slice(-digits).replace(/0+$/, '');
  return rest === '' ? text.slice(0, -digits) : `${text.slice(0, -digits)}.${rest}`;
}
