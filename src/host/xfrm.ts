import type { CommandRunner } from './command.ts';

/** An SA of the kernel, by what it is deleted with. */
export interface KernelSa {
  readonly source: string;
  readonly destination: string;
  readonly spi: string;
  readonly ifId: number;
}

/** A policy of the kernel. */
export interface KernelPolicy {
  readonly source: string;
  readonly destination: string;
  readonly direction: string;
  readonly ifId: number;
}

/** The parts of what `ip xfrm` lists: each begins with a line that is not indented. */
function blocks(output: string): readonly string[] {
  return output.split(/^(?=\S)/m).filter((block) => block.trim() !== '');
}

function ifIdOf(block: string): number {
  return Number.parseInt(/\bif_id (0x[\da-f]+)/.exec(block)?.[1] ?? '0', 16);
}

/** Reads `ip xfrm state list nokeys`: ESP only. */
export function parseKernelSas(output: string): readonly KernelSa[] {
  return blocks(output).flatMap((block) => {
    const [, source, destination, spi] = /^src (\S+) dst (\S+)\s+proto esp spi (0x[\da-f]+)/.exec(block) ?? [];
    if (source === undefined || destination === undefined || spi === undefined) return [];
    return [{ source, destination, spi, ifId: ifIdOf(block) }];
  });
}

/** Reads `ip xfrm policy list`; the policies of sockets have neither direction nor interface. */
export function parseKernelPolicies(output: string): readonly KernelPolicy[] {
  return blocks(output).flatMap((block) => {
    const [, source, destination, direction] = /^src (\S+) dst (\S+)[^\n]*\n\s+dir (in|out|fwd) /.exec(block) ?? [];
    if (source === undefined || destination === undefined || direction === undefined) return [];
    return [{ source, destination, direction, ifId: ifIdOf(block) }];
  });
}

/** What the kernel has with one interface id. */
export interface KernelIpsec {
  readonly sas: readonly KernelSa[];
  readonly policies: readonly KernelPolicy[];
}

/** The SAs and policies with this interface id; none where the kernel has no IPsec. Keys are not read. */
export async function observeKernelIpsec(runner: CommandRunner, ifId: number): Promise<KernelIpsec> {
  const options = { okExitCodes: [0, 1, 2, 255] };
  const states = await runner.run('ip', ['xfrm', 'state', 'list', 'nokeys'], options);
  const policies = await runner.run('ip', ['xfrm', 'policy', 'list'], options);
  return {
    sas: parseKernelSas(states.stdout).filter((sa) => sa.ifId === ifId),
    policies: parseKernelPolicies(policies.stdout).filter((policy) => policy.ifId === ifId),
  };
}

/** Removes these SAs and policies; those that are gone already, because they expired, are no failure. */
export async function removeKernelIpsec(runner: CommandRunner, { sas, policies }: KernelIpsec): Promise<void> {
  const options = { okExitCodes: [0, 2] };
  for (const { source, destination, direction, ifId } of policies) {
    const words = ['src', source, 'dst', destination, 'dir', direction, 'if_id', String(ifId)];
    await runner.run('ip', ['xfrm', 'policy', 'delete', ...words], options);
  }
  for (const { source, destination, spi } of sas) {
    const words = ['src', source, 'dst', destination, 'proto', 'esp', 'spi', spi];
    await runner.run('ip', ['xfrm', 'state', 'delete', ...words], options);
  }
}
