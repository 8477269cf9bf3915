import { type Command, Option } from 'commander';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { durationFlag, integerFlag, listFlag } from '../globalflags.ts';
import { addExtraFlags, addToFlags } from '../peers/flags.ts';
import type { VerifyOptions } from './options.ts';

const MAX_PACKET_BYTES = 1024 * 1024;

function addFlags(command: Command): void {
  addExtraFlags(addToFlags(command))
    .addOption(
      new Option('--only <tests>', 'tests to run, comma-separated (default: all); see docs/verify.md').argParser(
        listFlag,
      ),
    )
    .addOption(new Option('--junit <file>', 'also write the results as a JUnit report'))
    .addOption(new Option('--junit-report <file>', 'the same').hideHelp())
    .addOption(
      new Option('--packet-size <bytes>', 'payload of the TCP tests, each way')
        .argParser(integerFlag(1, MAX_PACKET_BYTES))
        .default(3000),
    )
    .addOption(
      new Option('--connection-timeout <duration>', 'longest wait for one answer')
        .argParser(durationFlag)
        .default(5000, '5s'),
    )
    .addOption(
      new Option('--connection-attempts <n>', 'how often a test is tried before it has failed')
        .argParser(integerFlag(1, 10))
        .default(2),
    )
    .addOption(
      new Option('--max-outage <duration>', 'longest time without traffic that passes a fail-over')
        .argParser(durationFlag)
        .default(30_000, '30s'),
    )
    .addOption(new Option('-n, --namespace <name>', 'put the test pods into this namespace, which is there already'))
    .addOption(new Option('--evidence <directory>', 'where to keep the evidence when a test fails'));
  booleanFlag(command, 'disruptive', 'also take gateways away while traffic flows', false);
  command.addOption(new Option('--disruptive-tests', 'the same').default(false).hideHelp());
}

/** `subctl verify`: the end-to-end tests between clusters. */
export function registerVerify(program: Command, context: CommandContext): void {
  addCommand<VerifyOptions>(program, context, {
    name: 'verify',
    summary: 'prove with test pods that traffic flows between clusters',
    description:
      'Runs test pods in two or three joined clusters and sends real packets between them, each direction: TCP, UDP and ICMP, small and large, between pods, from nodes, and to Services; ' +
      'and looks whether the source address arrives. The pods are removed afterwards, whatever happens. Exit code 0 only if every test passed.',
    group: GROUPS.look,
    examples: [
      { what: 'Two clusters', command: 'subctl verify --context east --tocontext west' },
      { what: 'In CI, with a report', command: 'subctl verify --context east --tocontext west --junit verify.xml -q' },
      { what: 'Also with gateways taken away', command: 'subctl verify --context east --tocontext west --disruptive' },
      { what: 'Only some tests', command: 'subctl verify --context east --tocontext west --only tcp,service' },
    ],
    flags: addFlags,
    run: async (run, _args, options) => (await import('./run.ts')).verify(run, options),
  });
}
