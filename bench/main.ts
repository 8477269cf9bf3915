import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { cables } from './cables.ts';
import { footprint } from './footprint.ts';
import { join } from './join.ts';
import { type Benchmark, type Measurement, renderTable } from './report.ts';
import { routes } from './routes.ts';
import { startup } from './startup.ts';

const ALL: readonly Benchmark[] = [startup, routes, join, cables, footprint];
const OUT = 'bench/out/results.json';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !ALL.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are: ${ALL.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

// A benchmark that is interrupted still removes what it made: it ends by itself once its signal is aborted.
const interruption = new AbortController();
const interrupt = (why: string, exitCode: number): void => {
  if (interruption.signal.aborted) return;
  console.error(`${why}: cleaning up`);
  process.exitCode = exitCode;
  interruption.abort();
};
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => interrupt(name, 130));
process.on('uncaughtException', (error) => interrupt(error.stack ?? error.message, 1));

const machine = {
  cpus: os.cpus().length,
  model: os.cpus()[0]?.model,
  memoryGib: Math.round(os.totalmem() / 1024 ** 3),
  kernel: os.release(),
  node: process.version,
};
const results: Record<string, { readonly load: number; readonly measurements: readonly Measurement[] }> = {};
for (const bench of ALL.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  try {
    const measurements = await bench.run(interruption.signal);
    results[bench.name] = { load: os.loadavg()[0] ?? 0, measurements };
    console.log(`\n${bench.name}\n${renderTable(measurements)}`);
  } catch (error) {
    if (interruption.signal.aborted) process.exit();
    console.error(`\n${bench.name} failed: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
mkdirSync('bench/out', { recursive: true });
writeFileSync(OUT, `${JSON.stringify({ machine, at: new Date().toISOString(), results }, null, 2)}\n`);
console.log(`\nJSON: ${OUT}`);
