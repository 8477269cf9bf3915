import { Command, Option } from 'commander';
import { addDetails, addExamples, commandTerm, GROUPS } from './command.ts';
import type { CommandContext } from './context.ts';
import { addGlobalFlags } from './globalflags.ts';
import { registerBenchmark } from './benchmark/register.ts';
import { registerBrokerInfo } from './brokerinfo/register.ts';
import { registerCompletion } from './completion/register.ts';
import { registerCredentials } from './credentials/register.ts';
import { registerDiagnose } from './diagnose/register.ts';
import { registerDiff } from './diff/register.ts';
import { registerExplain } from './explain/register.ts';
import { registerDeployBroker } from './deploybroker/register.ts';
import { registerGateway } from './gateway/register.ts';
import { registerGather } from './gather/register.ts';
import { registerJoin } from './join/register.ts';
import { registerOptions } from './options.ts';
import { registerRecoverBrokerInfo } from './recoverbrokerinfo/register.ts';
import { registerDemo } from './demo/register.ts';
import { registerSandbox } from './sandbox/register.ts';
import { registerShow } from './show/register.ts';
import { registerUninstall } from './uninstall/register.ts';
import { registerUpgrade } from './upgrade/register.ts';
import { registerVerify } from './verify/register.ts';
import { registerVersion } from './version.ts';

const EXAMPLES = [
  { what: 'Make one cluster the broker', command: 'subctl deploy-broker --context east' },
  { what: 'Join clusters', command: 'subctl join broker-info.subm --context east' },
  { what: 'See whether they are connected', command: 'subctl show connections' },
];

/**
 * The whole command line, or what it needs for the arguments it is to parse: a command that they do not name has no flags.
 * Parsing rejects with a CommanderError instead of ending the process.
 */
export function buildProgram(context: CommandContext, args?: readonly string[]): Command {
  const program = new Command('subctl');
  program
    .description(
      'Joins Kubernetes clusters into one network: pods and Services reach those of other clusters directly.',
    )
    .usage('[flags] COMMAND')
    .version(`subctl version: ${context.version}`, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show the help of a command')
    .commandsGroup(GROUPS.other)
    .enablePositionalOptions()
    .exitOverride()
    .configureHelp({ subcommandTerm: commandTerm })
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.terminal.stdout.write(text),
      writeErr: (text) => context.terminal.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'Error: ')),
      getOutHelpWidth: () => context.terminal.stdout.columns ?? 100,
      getErrHelpWidth: () => context.terminal.stderr.columns ?? 100,
    });
  addGlobalFlags(program);
  program.addOption(new Option('--contexts <names>').hideHelp());
  addExamples(program, EXAMPLES);
  program.addHelpText('after', '\nsubctl COMMAND --help tells more; subctl options lists the connection flags.');
  registerDeployBroker(program, context);
  registerJoin(program, context);
  registerGateway(program, context);
  registerUpgrade(program, context);
  registerUninstall(program, context);
  registerRecoverBrokerInfo(program, context);
  registerBrokerInfo(program, context);
  registerCredentials(program, context);
  registerShow(program, context);
  registerDiagnose(program, context);
  registerDiff(program, context);
  registerGather(program, context);
  registerExplain(program, context);
  registerVerify(program, context);
  registerBenchmark(program, context);
  registerSandbox(program, context);
  registerDemo(program, context);
  registerVersion(program, context);
  registerOptions(program, context);
  registerCompletion(program, context);
  addDetails(program, wordsOf(args));
  return program;
}

/** The words that may name a command; undefined for all of them, as completion looks at every command. */
function wordsOf(args: readonly string[] | undefined): ReadonlySet<string> | undefined {
  if (args === undefined || args.includes('complete')) return undefined;
  return new Set(args.map((arg) => arg.replace(/^--/, '')));
}
