import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ConnectionFlags, GlobalFlags } from './context.ts';
import { parseDuration } from './duration.ts';
import { OUTPUT_FORMATS, type OutputFormat } from './output.ts';

const GROUP = 'Global flags:';
const CONNECTION_GROUP = 'Connection flags (every command takes them):';

/** Parser of a duration flag such as --timeout. */
export function durationFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('Give a duration such as 90s, 5m or 1h30m.');
  return ms;
}

/** Parser of a flag that takes a whole number of a range. */
export function integerFlag(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

/** Parser of a comma list that may also be given several times. */
export function listFlag(text: string, before: readonly string[] | undefined): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  return [...(before ?? []), ...items.filter((item) => item !== '')];
}

/** The flags every command shows in its help. */
function mainOptions(): readonly Option[] {
  return [
    new Option('-o, --output <format>', 'form of the result').choices([...OUTPUT_FORMATS]),
    new Option('--kubeconfig <file>', 'kubeconfig to use instead of $KUBECONFIG or ~/.kube/config'),
    new Option('--context <name>', 'context of the kubeconfig to use'),
    new Option('--timeout <duration>', 'longest time to wait for things to happen').argParser(durationFlag),
    new Option('-y, --yes', 'take the default answer instead of asking'),
    new Option('-q, --quiet', 'only warnings, failures and results').conflicts('verbose'),
    new Option('-v, --verbose', 'also every request to an API server').argParser(
      (_: string, before: number | undefined) => (before ?? 0) + 1,
    ),
  ].map((option) => option.helpGroup(GROUP));
}

/** The flags that `subctl options` lists; as kubectl has them. */
function connectionOptions(): readonly Option[] {
  return [
    new Option('--cluster <name>', 'cluster entry of the kubeconfig'),
    new Option('--user <name>', 'user entry of the kubeconfig'),
    new Option('-s, --server <url>', 'address of the API server'),
    new Option('--token <token>', 'bearer token'),
    new Option('--username <name>', 'name for basic authentication'),
    new Option('--password <password>', 'password for basic authentication'),
    new Option('--as <user>', 'user to act as'),
    new Option('--as-uid <uid>', 'uid to act as'),
    new Option('--as-group <group>', 'group to act as; may be given several times').argParser(listFlag),
    new Option('--client-certificate <file>', 'client certificate'),
    new Option('--client-key <file>', 'key of the client certificate'),
    new Option('--certificate-authority <file>', 'CA of the API server'),
    new Option('--insecure-skip-tls-verify', 'accept any certificate of the API server'),
    new Option('--tls-server-name <name>', 'name expected in the certificate of the API server'),
    new Option('--proxy-url <url>', 'proxy to the API server'),
    new Option('--disable-compression', 'do not ask for compressed answers'),
    new Option('--request-timeout <duration>', 'longest time of one request; 0 means no limit').argParser(durationFlag),
  ].map((option) => option.helpGroup(CONNECTION_GROUP));
}

/** Made once for all commands. */
const SHARED: readonly Option[] = [...mainOptions(), ...connectionOptions().map((option) => option.hideHelp())];

/** Adds the global flags to a command; flags it defines itself under the same name are left alone. */
export function addGlobalFlags(command: Command): Command {
  const taken = new Set(command.options.flatMap(({ long, short }) => [long, short]));
  for (const option of SHARED) {
    const isTaken = taken.has(option.long) || (option.short !== undefined && taken.has(option.short));
    if (!isTaken) command.addOption(option);
  }
  return command;
}

/** Adds all global flags so that its help shows them, for `subctl options`. */
export function addShownGlobalFlags(command: Command): Command {
  for (const option of [...mainOptions(), ...connectionOptions()]) command.addOption(option);
  return command;
}

/** Adds --contexts, for commands that loop over clusters. */
export function addContextsFlag(command: Command): Command {
  return command.addOption(
    new Option('--contexts <names>', 'contexts to look at, comma-separated (default: all of the kubeconfig)').argParser(
      listFlag,
    ),
  );
}

/** The value of a flag on the command itself, else on the commands above it (`subctl -q join`). */
function flagValue(command: Command, name: string): unknown {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const source = at.getOptionValueSource(name);
    if (source !== undefined && source !== 'default') return at.getOptionValue(name);
  }
  return undefined;
}

/** Global flags of a command that is being run, wherever on the command line they stand. */
export function readGlobalFlags(command: Command): GlobalFlags {
  // Commander knows values only as unknown; the parsers of the flags above make them what is said here.
  const read = (name: string): never => flagValue(command, name) as never;
  const output: OutputFormat | undefined = read('output');
  return {
    output: output ?? 'table',
    outputGiven: output !== undefined,
    timeoutMs: read('timeout'),
    yes: read('yes') ?? false,
    verbosity: verbosityOf(read('quiet'), read('verbose')),
    connection: readConnectionFlags(read),
  };
}

function verbosityOf(quiet: boolean | undefined, verbose: number | undefined): number {
  return quiet === true ? -1 : (verbose ?? 0);
}

function readConnectionFlags(read: (name: string) => never): ConnectionFlags {
  return {
    kubeconfig: read('kubeconfig'),
    context: read('context'),
    contexts: read('contexts'),
    cluster: read('cluster'),
    user: read('user'),
    server: read('server'),
    token: read('token'),
    username: read('username'),
    password: read('password'),
    as: read('as'),
    asUid: read('asUid'),
    asGroup: read('asGroup'),
    clientCertificate: read('clientCertificate'),
    clientKey: read('clientKey'),
    certificateAuthority: read('certificateAuthority'),
    insecureSkipTlsVerify: read('insecureSkipTlsVerify'),
    tlsServerName: read('tlsServerName'),
    proxyUrl: read('proxyUrl'),
    disableCompression: read('disableCompression'),
    requestTimeoutMs: read('requestTimeout'),
  };
}
