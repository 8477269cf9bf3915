import { type Command, InvalidArgumentError, Option } from 'commander';
import { addCommand, addGroup, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { durationFlag, integerFlag } from '../globalflags.ts';
import { addToFlags } from '../peers/flags.ts';
import type { BenchmarkKind, BenchmarkOptions } from './options.ts';

const MIN_DURATION_MS = 500;
/** Test pods that are forgotten end by themselves a little later. */
const MAX_DURATION_MS = 120_000;

function durationOfRun(text: string): number {
  const ms = durationFlag(text);
  if (ms >= MIN_DURATION_MS && ms <= MAX_DURATION_MS) return ms;
  throw new InvalidArgumentError('Give a duration from 500ms to 2m.');
}

function addFlags(command: Command, streams: number): void {
  addToFlags(command)
    .addOption(
      new Option('--streams <n>', 'TCP connections side by side').argParser(integerFlag(1, 128)).default(streams),
    )
    .addOption(
      new Option('--duration <duration>', 'length of each measurement').argParser(durationOfRun).default(10_000, '10s'),
    )
    .addOption(new Option('-n, --namespace <name>', 'put the test pods into this namespace, which is there already'));
  booleanFlag(command, 'intra-cluster', 'within one cluster, as without --tocontext', false);
}

const HONEST =
  'Beside pods, the nodes of the gateways themselves are measured, outside of the tunnel: the ratio of the two is what the tunnel costs.';

function addKind(group: Command, context: CommandContext, kind: BenchmarkKind, summary: string, streams: number): void {
  addCommand<BenchmarkOptions>(group, context, {
    name: kind,
    summary,
    description: `Measures with test pods, which are removed afterwards, whatever happens. ${HONEST} Without --tocontext it measures within one cluster.`,
    examples: [
      { what: 'Between two clusters', command: `subctl benchmark ${kind} --context east --tocontext west` },
      { what: 'Within one', command: `subctl benchmark ${kind} --context east` },
      { what: 'For a script', command: `subctl benchmark ${kind} --context east --tocontext west -o json -q` },
    ],
    flags: (command) => {
      addFlags(command, streams);
      if (kind === 'latency') {
        command.addOption(
          new Option('--size <bytes>', 'bytes of each question and each answer')
            .argParser(integerFlag(1, 65_536))
            .default(64),
        );
      }
    },
    run: async (run, _args, options) => (await import('./run.ts')).benchmark(run, kind, options),
  });
}

/** `subctl benchmark …`. */
export function registerBenchmark(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'benchmark',
    summary: 'measure throughput and latency between or within clusters',
    description: HONEST,
    group: GROUPS.look,
    examples: [
      {
        what: 'How much goes through the tunnel?',
        command: 'subctl benchmark throughput --context east --tocontext west',
      },
      { what: 'How long does an answer take?', command: 'subctl benchmark latency --context east --tocontext west' },
    ],
  });
  addKind(group, context, 'throughput', 'how much TCP carries, with what processor time', 10);
  addKind(group, context, 'latency', 'how long a question and its answer take over TCP', 1);
}
