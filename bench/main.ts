import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { type Benchmark, type Measurement, renderTable } from './report.ts';
import { routes } from './routes.ts';
import { startup } from './startup.ts';

const ALL: readonly Benchmark[] = [startup, routes];
const OUT = 'bench/out/results.json';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !ALL.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are: ${ALL.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

const results: Record<string, readonly Measurement[]> = {};
for (const bench of ALL.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  results[bench.name] = await bench.run();
  console.log(`\n${bench.name}\n${renderTable(results[bench.name]!)}`);
}
const machine = { cpus: os.cpus().length, model: os.cpus()[0]?.model, kernel: os.release(), node: process.version };
mkdirSync('bench/out', { recursive: true });
writeFileSync(OUT, `${JSON.stringify({ machine, at: new Date().toISOString(), results }, null, 2)}\n`);
console.log(`\nJSON: ${OUT}`);
