import { type Command, Option } from 'commander';

/** Flags that say which clusters a command is about, beside --context. */
export interface PeerFlags {
  readonly tocontext?: string;
  readonly toconfig?: string;
  readonly extracontext?: string;
  readonly extraconfig?: string;
}

/** Adds --tocontext and --toconfig. */
export function addToFlags(command: Command): Command {
  return command
    .addOption(new Option('--tocontext <name>', 'context of the second cluster'))
    .addOption(new Option('--toconfig <file>', 'kubeconfig of the second cluster, when it is another file'));
}

/** Adds --extracontext and --extraconfig. */
export function addExtraFlags(command: Command): Command {
  return command
    .addOption(new Option('--extracontext <name>', 'context of a third cluster'))
    .addOption(new Option('--extraconfig <file>', 'kubeconfig of the third cluster, when it is another file'));
}
