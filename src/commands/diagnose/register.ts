import { Option, type Command } from 'commander';
import { addCommand, addGroup, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag, integerFlag } from '../globalflags.ts';
import { CATEGORIES, type Category } from './check.ts';
import type { DiagnoseOptions } from './run.ts';

/** What each category answers, and the names upstream has for it. */
const ABOUT: Readonly<Record<Category, { readonly summary: string; readonly aliases?: readonly string[] }>> = {
  pre: { summary: 'before join: may it join, and does it fit the others?' },
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
      { what: 'Before clusters join', command: 'subctl diagnose pre --contexts east,west' },
      { what: 'Without creating anything', command: 'subctl diagnose all --no-test-pods' },
    ],
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
      examples: [{ what: 'Of all clusters in the kubeconfig', command: `subctl diagnose ${category}` }],
      flags,
      run: async (run, _args, options) => (await import('./run.ts')).diagnose(run, category, options),
    });
  }
}
