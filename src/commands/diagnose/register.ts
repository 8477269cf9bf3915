import { Option, type Command } from 'commander';
import { addCommand, addGroup, booleanFlag, GROUPS, type Example } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag, integerFlag, listFlag } from '../globalflags.ts';
import { CATEGORIES, type Category } from './check.ts';
import type { DiagnoseOptions } from './run.ts';

/** What each category answers, and the names upstream has for it. */
const ABOUT: Readonly<Record<Category, { readonly summary: string; readonly aliases?: readonly string[] }>> = {
  pre: { summary: 'before join: may it join, does it fit the others, do packets pass between the gateway nodes?' },
  k8s: { summary: 'is Kubernetes itself fit?', aliases: ['k8s-version'] },
  cni: { summary: 'does the pod network let packets for other clusters through?' },
  'kube-proxy': { summary: 'do Services work in the way that is needed?', aliases: ['kube-proxy-mode'] },
  deployment: { summary: 'is what join deploys there, and does it run?' },
  gateway: { summary: 'is there an active gateway, and one that can take over?' },
  broker: { summary: 'does the cluster reach the broker, and is what it finds there right?' },
  routes: { summary: 'do the routes of every node lead to the other clusters?' },
  firewall: { summary: 'do the UDP packets between nodes and gateways arrive?' },
  connections: { summary: 'do packets of every node and pod reach the other clusters?' },
  mtu: { summary: 'do large packets get through?' },
};

const MAX_NODES = 10;

function flags(command: Command): void {
  addContextsFlag(command);
  command.addOption(
    new Option('--max-nodes <number>', 'nodes of each cluster from which packets are sent, gateways first')
      .argParser(integerFlag(1, 1000))
      .default(MAX_NODES),
  );
  booleanFlag(command, 'test-pods', 'start short-lived pods in a namespace of their own to send packets between', true);
}

/** Flags of join that decide what join will meet. */
function preFlags(command: Command): void {
  flags(command);
  command.optionsGroup('As join will be given them:');
  command
    .option('--gateway-nodes <names>', 'nodes that would be gateways, comma-separated, of all clusters', listFlag)
    .option('--nattport <port>', 'UDP port of the tunnels (default: 4500)', integerFlag(1, 65535))
    .option('--cable-driver <name>', 'ipsec (also called libreswan), wireguard or vxlan (default: ipsec)')
    .option('--repository <name>', 'repository of the images')
    .option('--version <tag>', 'tag of the images (default: the version of subctl)')
    .option('--image-override <component=image>', 'image of one component; may be given several times', listFlag);
}

const PRE_EXAMPLES: readonly Example[] = [
  { what: 'Two clusters, before they join', command: 'subctl diagnose --pre --contexts east,west' },
  {
    what: 'With other gateway nodes and another port',
    command: 'subctl diagnose --pre --contexts east,west --gateway-nodes east-2,west-2 --nattport 4600',
  },
  { what: 'Without creating anything', command: 'subctl diagnose --pre --contexts east,west --no-test-pods' },
];

/** `subctl diagnose …`. */
export function registerDiagnose(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'diagnose',
    summary: 'find what is wrong, prove what is right by sending packets',
    description:
      'Examines the clusters in the kubeconfig; choose some with --contexts, one with --context. Connections are judged by packets ' +
      'that are really sent, from every node, never by what a status field says. Fails when a check fails.',
    group: GROUPS.look,
    examples: [
      { what: 'Everything', command: 'subctl diagnose all' },
      { what: 'Does traffic flow? For a script', command: 'subctl diagnose connections -o json' },
      { what: 'Before clusters join', command: 'subctl diagnose --pre --contexts east,west' },
      { what: 'Without creating anything', command: 'subctl diagnose all --no-test-pods' },
    ],
    flags: (command) => command.option('--pre', 'the same as the command pre: what can be known before join'),
  });
  addCommand<DiagnoseOptions>(group, context, {
    name: 'all',
    summary: 'all of the checks',
    examples: [{ what: 'Of two clusters', command: 'subctl diagnose all --contexts east,west' }],
    flags,
    run: async (run, _args, options) => (await import('./run.ts')).diagnose(run, 'all', options),
  });
  for (const category of CATEGORIES) {
    const { summary, aliases = [] } = ABOUT[category];
    addCommand<DiagnoseOptions>(group, context, {
      name: category,
      summary,
      aliases,
      examples:
        category === 'pre'
          ? PRE_EXAMPLES
          : [{ what: 'Of all clusters in the kubeconfig', command: `subctl diagnose ${category}` }],
      flags: category === 'pre' ? preFlags : flags,
      run: async (run, _args, options) => (await import('./run.ts')).diagnose(run, category, options),
    });
  }
}
