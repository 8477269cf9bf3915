import { ExpectedError } from '../runtime/errors.ts';
import type { CommandRunner } from './command.ts';

/** The error of a tunnel that cannot have its UDP port, naming who has it; undefined when the port is free. */
export async function takenPort(
  runner: CommandRunner,
  udpPort: number,
  what: string,
): Promise<ExpectedError | undefined> {
  // Not only those that listen: a socket that has met its peer keeps the port too.
  const ask = async (more: readonly string[]): Promise<string> => {
    const { stdout } = await runner.run('ss', ['-H', '-u', '-a', '-n', ...more, `sport = :${udpPort}`]);
    return stdout.trim().split('\n')[0] ?? '';
  };
  // To name the owners ss looks at every process of the node; only an operator needs that.
  if ((await ask([])) === '') return undefined;
  const taken = await ask(['-p']);
  if (taken === '') return undefined;
  const owner = /users:\(\("([^"]+)",pid=(\d+)/.exec(taken);
  const who =
    owner === null
      ? 'the kernel (a VXLAN or WireGuard link) or a program of another container'
      : `${owner[1] ?? ''} (process ${owner[2] ?? ''})`;
  return new ExpectedError(`UDP port ${udpPort} of this node is taken by ${who}; ${what} needs it`, {
    hint: `See \`ss -uanp sport = :${udpPort}\`; stop that program, or choose another port for tunnels.`,
  });
}
