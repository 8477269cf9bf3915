import type { Command } from 'commander';
import { BROKER_NAMESPACE } from '../../api/names.ts';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { integerFlag, listFlag } from '../globalflags.ts';
import type { DeployBrokerOptions } from './options.ts';

/** `subctl deploy-broker`. */
export function registerDeployBroker(program: Command, context: CommandContext): void {
  addCommand<DeployBrokerOptions>(program, context, {
    name: 'deploy-broker',
    summary: 'make a cluster the broker, where the others find each other',
    description:
      'Sets up the broker in a cluster and writes broker-info.subm, which every cluster needs to join. ' +
      'Running it again changes nothing and keeps the pre-shared key of the file in the current directory.',
    group: GROUPS.setup,
    examples: [
      { what: 'The cluster of the current context becomes the broker', command: 'subctl deploy-broker' },
      { what: 'Show what would be applied', command: 'subctl deploy-broker --context east --dry-run -o yaml' },
      {
        what: 'Keep the key of an earlier broker, so that joined clusters stay valid',
        command: 'subctl deploy-broker --ipsec-psk-from old/broker-info.subm',
      },
    ],
    flags: addFlags,
    run: async (run, _args, options) => (await import('./run.ts')).deployBroker(run, options),
  });
}

function addFlags(command: Command): void {
  command.option('-n, --namespace <name>', 'namespace of the broker', BROKER_NAMESPACE);
  booleanFlag(
    command,
    'globalnet',
    'let clusters with overlapping CIDRs join (recorded for clusters that do it)',
    false,
  );
  command
    .option('--globalnet-cidr-range <cidr>', 'range of all global addresses', '242.0.0.0/8')
    .option('--globalnet-cluster-size <count>', 'global addresses of a cluster', integerFlag(1, 2 ** 31), 65536)
    .option('--ipsec-psk-from <file>', 'take the pre-shared key from this broker-info.subm');
  booleanFlag(command, 'new-ipsec-psk', 'make a new pre-shared key although clusters joined with another one', false);
  command
    .option('--custom-domains <domains>', 'DNS domains besides clusterset.local', listFlag)
    .option('--components <names>', 'connectivity, service-discovery', listFlag)
    .option('--broker-url <url>', 'address under which the clusters reach the broker (default: that of the kubeconfig)')
    .option('--clusterset-ip-cidr-range <cidr>', 'range of all clusterset IPs', '243.0.0.0/8');
  booleanFlag(command, 'enable-clusterset-ip', 'give exported Services a clusterset IP', false);
  booleanFlag(command, 'dry-run', 'print what would be applied and change nothing', false);
  ignoredFlags(command);
}

/** Flags of upstream that configure its operator, which does not exist here. */
function ignoredFlags(command: Command): void {
  for (const flag of [
    '--repository <name>',
    '--version <tag>',
    '--http-proxy <url>',
    '--https-proxy <url>',
    '--no-proxy <list>',
  ]) {
    command.addOption(command.createOption(flag, 'accepted as upstream has it; the broker runs nothing').hideHelp());
  }
  command.addOption(command.createOption('--operator-debug').hideHelp());
}
