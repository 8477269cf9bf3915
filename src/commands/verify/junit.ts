/** One test as JUnit files have it. */
export interface JunitCase {
  /** Grouped by it. */
  readonly suite: string;
  readonly name: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  readonly message: string;
  readonly seconds: number;
}

/** Text for XML; what XML 1.0 does not allow is left out. */
function escaped(text: string): string {
  const allowed = text.replaceAll(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '');
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    '\n': '&#10;',
  };
  return allowed.replaceAll(/[&<>"\n]/g, (one) => names[one] ?? '');
}

function testcase({ suite, name, status, message, seconds }: JunitCase): string {
  const head = `    <testcase classname="${escaped(suite)}" name="${escaped(name)}" time="${seconds.toFixed(3)}"`;
  if (status === 'passed') return `${head}/>\n`;
  const element = status === 'failed' ? 'failure' : 'skipped';
  return `${head}><${element} message="${escaped(message)}"/></testcase>\n`;
}

function counts(cases: readonly JunitCase[]): string {
  const count = (status: JunitCase['status']): number => cases.filter((one) => one.status === status).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0);
  return `tests="${cases.length}" failures="${count('failed')}" skipped="${count('skipped')}" errors="0" time="${seconds.toFixed(3)}"`;
}

/** A JUnit report, as CI systems read it. `time` is RFC 3339. */
export function renderJunit(cases: readonly JunitCase[], time: string): string {
  const suites = [...Map.groupBy(cases, ({ suite }) => suite)].map(
    ([suite, own]) =>
      `  <testsuite name="${escaped(suite)}" ${counts(own)} timestamp="${escaped(time)}">\n${own.map(testcase).join('')}  </testsuite>\n`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="subctl verify" ${counts(cases)}>\n${suites.join('')}</testsuites>\n`;
}
