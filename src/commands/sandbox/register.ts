import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { addCommand, addGroup, GROUPS, type CommandDefinition } from '../command.ts';
import type { CommandContext, CommandRun } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { integerFlag, listFlag } from '../globalflags.ts';
import type * as Actions from './actions.ts';
import type { FaultFlags, SandboxFlags, UpFlags } from './flags.ts';

const NAME = 'default';

function nameOption(): Option {
  return new Option('--name <name>', 'which sandbox, when there are several side by side').default(NAME);
}

function latencyFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms > 10_000) throw new InvalidArgumentError('Give a duration up to 10s, such as 20ms.');
  return ms;
}

function upFlags(command: Command): void {
  command
    .addOption(
      new Option('--clusters <names>', 'names of the clusters, comma-separated')
        .argParser((text: string) => listFlag(text, []))
        .default(['east', 'west'], 'east,west'),
    )
    .addOption(new Option('--nodes <number>', 'nodes of each cluster').argParser(integerFlag(1, 50)).default(3))
    .addOption(
      new Option('--gateways <number>', 'nodes of each cluster meant as gateways, from the first on; join labels them')
        .argParser(integerFlag(1, 50))
        .default(1),
    )
    .addOption(
      new Option('--wan-latency <duration>', 'one-way delay between the clusters')
        .argParser(latencyFlag)
        .default(0, 'none'),
    )
    .addOption(
      new Option(
        '--control-plane <embedded|DIR>',
        'embedded API server, or a directory with kube-apiserver and etcd',
      ).default('embedded'),
    )
    .addOption(
      new Option('--runtime <how>', 'the daemons run as programs of this machine, or by podman from their images')
        .choices(['process', 'podman'])
        .default('process'),
    );
}

type Run<Flags extends object> = (
  actions: typeof Actions,
) => (run: CommandRun, args: readonly string[], flags: Flags) => Promise<void>;

type Definition<Flags extends object> = Omit<CommandDefinition<Flags>, 'run'> & {
  readonly action: Run<Flags>;
};

/** Adds one subcommand; what it does is loaded when it runs. */
function add<Flags extends object>(group: Command, context: CommandContext, definition: Definition<Flags>): void {
  addCommand<Flags>(group, context, {
    ...definition,
    flags: (command) => {
      command.addOption(nameOption());
      definition.flags?.(command);
    },
    run: async (run, args, flags) => definition.action(await import('./actions.ts'))(run, args, flags),
  });
}

const CLUSTER = (): Argument => new Argument('<cluster>', 'name of a cluster of the sandbox');

function addLifecycle(group: Command, context: CommandContext): void {
  add<UpFlags>(group, context, {
    name: 'up',
    summary: 'start clusters on this machine',
    description:
      'Starts Kubernetes clusters on this machine: every node and pod is made of network namespaces and processes, nothing is added to the network of the machine itself.',
    examples: [
      { what: 'Two clusters, east and west, of three nodes', command: 'subctl sandbox up' },
      {
        what: 'Three clusters, far from each other',
        command: 'subctl sandbox up --clusters east,west,south --wan-latency 20ms',
      },
      { what: 'With the images that npm run images has built', command: 'subctl sandbox up --runtime podman' },
    ],
    flags: upFlags,
    action: (actions) => actions.sandboxUp,
  });
  add<SandboxFlags>(group, context, {
    name: 'down',
    summary: 'remove a sandbox with everything that belongs to it',
    examples: [{ what: 'Remove it', command: 'subctl sandbox down' }],
    action: (actions) => actions.sandboxDown,
  });
  add<SandboxFlags>(group, context, {
    name: 'status',
    summary: 'show the clusters, nodes and processes of a sandbox',
    examples: [{ what: 'For scripts', command: 'subctl sandbox status -o json' }],
    action: (actions) => actions.sandboxStatusCommand,
  });
}

function addUse(group: Command, context: CommandContext): void {
  add<SandboxFlags>(group, context, {
    name: 'env',
    summary: 'print what makes kubectl and subctl of a shell reach the sandbox',
    examples: [
      { what: 'Use it in this shell', command: 'eval "$(subctl sandbox env)" && kubectl --context west get nodes' },
    ],
    action: (actions) => actions.sandboxEnv,
  });
  add<SandboxFlags>(group, context, {
    name: 'kubeconfig',
    summary: 'print the kubeconfig of one cluster',
    arguments: [CLUSTER()],
    examples: [{ what: 'Write it to a file', command: 'subctl sandbox kubeconfig west > west.kubeconfig' }],
    action: (actions) => actions.sandboxKubeconfig,
  });
  add<SandboxFlags>(group, context, {
    name: 'exec',
    summary: 'run a program on a node or in a pod',
    arguments: [
      CLUSTER(),
      new Argument('<target>', 'a node, or pod/NAME of namespace default (pod/NAMESPACE/NAME of others)'),
      new Argument('<command...>', 'program and arguments, after --'),
    ],
    examples: [
      { what: 'Routes of a node', command: 'subctl sandbox exec east east-2 -- ip route' },
      { what: 'From a pod', command: 'subctl sandbox exec west pod/client -- ping -c 1 10.130.1.2' },
    ],
    action: (actions) => actions.sandboxExec,
  });
}

function percentFlag(min: number): (text: string) => number {
  return integerFlag(min, 100);
}

function faultFlags(command: Command): void {
  const actions = [
    new Option('--kill', 'a node loses its power: processes and kernel state are gone, files stay'),
    new Option('--blackhole', 'a node loses every packet, its processes live on'),
    new Option('--loss <percent>', 'a node loses some of its packets').argParser(percentFlag(1)),
    new Option('--cut <node>', 'nothing passes on the LAN between a node and this one'),
    new Option('--kill-process <program>', 'kill -9 of a program on a node: engine, routeagent, charon …'),
    new Option('--pause-process <program>', 'a program on a node does nothing any more, and knows nothing of it'),
    new Option('--renumber <address>', 'a node gets another address on its LAN'),
    new Option('--api <how>', 'the API server of a cluster is away').choices(['refuse', 'blackhole']),
    new Option('--wan-loss <percent>', 'the WAN loses some of the packets; 0 for none').argParser(percentFlag(0)),
    new Option('--partition <clusters>', 'nothing passes between two clusters, for instance east,west').argParser(
      (text: string) => listFlag(text, []),
    ),
    new Option('--heal', 'undo everything: of a node, of a cluster, or of all'),
  ];
  for (const action of actions) {
    const others = actions.filter((other) => other !== action).map((other) => other.attributeName());
    command.addOption(action.conflicts(others));
  }
  command
    .addOption(new Option('--direction <which>', 'of --blackhole').choices(['both', 'in', 'out']).default('both'))
    .addOption(
      new Option(
        '--only <what>',
        'of --blackhole and --loss: packets beyond the LAN, or of tunnels; of --api: other networks',
      ).choices(['wan', 'tunnels']),
    );
}

function addFault(group: Command, context: CommandContext): void {
  add<FaultFlags>(group, context, {
    name: 'fault',
    summary: 'break a node, an API server or the WAN, or heal them again',
    description:
      'Breaks one thing in a sandbox: a node (name its cluster and it), the API server of a cluster (name the cluster), or the WAN between the clusters (name nothing). What is broken stays so until --heal.',
    arguments: [
      new Argument('[cluster]', 'name of a cluster of the sandbox'),
      new Argument('[node]', 'name of one of its nodes'),
    ],
    examples: [
      { what: 'A gateway dies', command: 'subctl sandbox fault east east-1 --kill' },
      { what: 'It comes back', command: 'subctl sandbox fault east east-1 --heal' },
      {
        what: 'Its tunnels carry nothing, everything else about it works',
        command: 'subctl sandbox fault east east-1 --blackhole --only tunnels',
      },
      { what: 'A node gets another address', command: 'subctl sandbox fault east east-2 --renumber 172.31.0.77' },
      { what: 'The engine is killed', command: 'subctl sandbox fault east east-1 --kill-process engine' },
      {
        what: 'The broker in east is away for the other clusters',
        command: 'subctl sandbox fault east --api refuse --only wan',
      },
      { what: 'The Internet has a bad day', command: 'subctl sandbox fault --wan-loss 30' },
      { what: 'All is well again', command: 'subctl sandbox fault --heal' },
    ],
    flags: faultFlags,
    action: (actions) => actions.sandboxFault,
  });
}

function addLogs(group: Command, context: CommandContext): void {
  add<SandboxFlags>(group, context, {
    name: 'logs',
    summary: 'print the log of a daemon on a node',
    arguments: [
      CLUSTER(),
      new Argument('<node>', 'name of the node, or control-plane'),
      new Argument('<daemon>', 'gateway, routeagent, node, or the name of a pod'),
    ],
    examples: [{ what: 'The engine on the gateway', command: 'subctl sandbox logs east east-1 gateway' }],
    action: (actions) => actions.sandboxLogs,
  });
}

/** `subctl sandbox …`: clusters on this machine. */
export function registerSandbox(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'sandbox',
    summary: 'clusters on this machine, to try everything without any other',
    group: GROUPS.sandbox,
    examples: [
      { what: 'Start two clusters', command: 'subctl sandbox up' },
      { what: 'Use them', command: 'eval "$(subctl sandbox env)"' },
      { what: 'Remove them', command: 'subctl sandbox down' },
    ],
  });
  addLifecycle(group, context);
  addUse(group, context);
  addFault(group, context);
  addLogs(group, context);
}
