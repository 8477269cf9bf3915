import type { Command } from 'commander';
import { BROKER_INFO_FILE } from '../brokerinfoname.ts';
import { addCommand, addGroup, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag, durationFlag } from '../globalflags.ts';
import type { RevokeOptions, RotateOptions } from './options.ts';

/** `subctl credentials …`. */
export function registerCredentials(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'credentials',
    summary: 'show, change and revoke the credentials of clusters',
    description: 'Works on what clusters show themselves to the broker and to each other with.',
    group: GROUPS.setup,
    examples: [
      { what: 'When do they end?', command: 'subctl credentials show' },
      { what: 'Cut a cluster off', command: 'subctl credentials revoke west' },
    ],
  });
  addCommand(group, context, {
    name: 'show',
    aliases: ['status'],
    summary: 'credentials of the clusters and when they end',
    examples: [{ what: 'Of all clusters in the kubeconfig', command: 'subctl credentials show' }],
    flags: (command) => void addContextsFlag(command),
    run: async (run) => (await import('../show/run.ts')).show(run, 'credentials'),
  });
  addRotate(group, context);
  addCommand<RevokeOptions>(group, context, {
    name: 'revoke <clusterid>',
    summary: 'cut a cluster off from the others at once',
    description:
      'Ends every credential of a cluster at the broker and removes what it published; the others drop their tunnels to it within a second or so. ' +
      'The cluster itself is not touched, and need not be reachable. It still knows the pre-shared key.',
    examples: [{ what: 'A cluster that is lost', command: 'subctl credentials revoke west --yes' }],
    flags: addBrokerInfo,
    run: async (run, args, options) => (await import('./revoke.ts')).revokeCluster(run, args[0] ?? '', options),
  });
}

function addRotate(group: Command, context: CommandContext): void {
  addCommand<RotateOptions>(group, context, {
    name: 'rotate',
    summary: 'give a cluster new credentials',
    description:
      'Changes credentials while traffic flows. --broker-token: a new credential of one cluster at the broker; every former one ends, also one that somebody else has. ' +
      '--psk: a new pre-shared key of the whole set, whose clusters have to be reachable; an interrupted run goes on when it is run again.',
    examples: [
      { what: 'A new credential at the broker', command: 'subctl credentials rotate --broker-token --context east' },
      { what: 'A new pre-shared key', command: 'subctl credentials rotate --psk --contexts east,west' },
    ],
    flags: (command) => {
      addContextsFlag(command);
      booleanFlag(command, 'broker-token', 'the credential of the cluster at the broker', false);
      booleanFlag(command, 'psk', 'the pre-shared key of all clusters of the set', false);
      command.option('--expires <duration>', 'life of the new credential (default: as long as before)', durationFlag);
      addBrokerInfo(command);
    },
    run: async (run, _args, options) => (await import('./rotate.ts')).rotateCredentials(run, options),
  });
}

function addBrokerInfo(command: Command): void {
  command.option('--broker-info <file>', "the administrator's file of the broker", BROKER_INFO_FILE);
}
