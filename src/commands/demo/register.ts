import { Option, type Command } from 'commander';
import { addCommand, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import type { DemoFlags } from './flags.ts';

/** `subctl demo`: from nothing to two joined clusters and a table of proven traffic. */
export function registerDemo(program: Command, context: CommandContext): void {
  addCommand<DemoFlags>(program, context, {
    name: 'demo',
    summary: 'start two clusters on this machine, join them, prove the traffic, remove them',
    description:
      'Runs what a user runs: sandbox up, deploy-broker, join twice, show connections, verify. Exit code 0 only if every test passes.',
    group: GROUPS.sandbox,
    examples: [
      { what: 'With IPsec', command: 'subctl demo' },
      { what: 'With the images that npm run images has built', command: 'subctl demo --runtime podman' },
      { what: 'With WireGuard, and leave it running', command: 'subctl demo --cable-driver wireguard --keep' },
    ],
    flags: (command) => {
      command
        .addOption(new Option('--name <name>', 'name of the sandbox').default('demo'))
        .addOption(
          new Option('--cable-driver <name>', 'how packets travel between the clusters')
            .choices(['ipsec', 'libreswan', 'wireguard', 'vxlan'])
            .default('ipsec'),
        )
        .addOption(new Option('--keep', 'leave the clusters running').default(false))
        .addOption(new Option('--control-plane <embedded|DIR>', 'as for sandbox up').default('embedded'))
        .addOption(
          new Option('--runtime <how>', 'as for sandbox up').choices(['process', 'podman']).default('process'),
        );
    },
    run: async (run, _args, flags) => (await import('./demo.ts')).demo(run, flags),
  });
}
