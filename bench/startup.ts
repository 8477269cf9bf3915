import { spawnSync } from 'node:child_process';
import { type Benchmark, type Measurement, median } from './report.ts';

const RUNS = 15;
/** Writes the CPU time of the process to file descriptor 3 when it ends, without changing what it does. */
const METER =
  'data:text/javascript,import fs from "node:fs";process.on("exit",()=>{const u=process.cpuUsage();fs.writeSync(3,String((u.user+u.system)/1000))})';

function cpuMs(args: readonly string[]): number {
  const run = spawnSync(process.execPath, ['--import', METER, ...args], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`${args.join(' ')} ended with ${run.status}`);
  return Number(run.output[3]);
}

/** CPU time of `subctl --help` and `subctl version` beyond that of an empty node process, interleaved runs. */
export const startup: Benchmark = {
  name: 'startup',
  run: async (signal) => {
    const commands = {
      empty: ['-e', '0'],
      help: ['dist/subctl.mjs', '--help'],
      version: ['dist/subctl.mjs', 'version'],
    } as const;
    const samples: Record<keyof typeof commands, number[]> = { empty: [], help: [], version: [] };
    for (let run = 0; run < RUNS; run += 1) {
      signal.throwIfAborted();
      for (const name of Object.keys(commands) as (keyof typeof commands)[]) samples[name].push(cpuMs(commands[name]));
    }
    const base = median(samples.empty);
    const over = (name: 'help' | 'version'): Measurement => ({
      what: `subctl ${name === 'help' ? '--help' : 'version'}: CPU beyond an empty node`,
      value: median(samples[name]) - base,
      unit: 'ms',
      target: { atMost: 40 },
      note: `median of ${RUNS}; empty node ${base.toFixed(0)} ms`,
    });
    return [over('help'), over('version')];
  },
};
