import { CommandError, describeFailure, type CommandRunner } from './command.ts';

/** Addresses of RFC 5737 (TEST-NET-1): the throw-away SA can match no packet. */
const PROBE = ['src', '192.0.2.1', 'dst', '192.0.2.2', 'proto', 'esp', 'spi', '0x5375626d'] as const;
/** A link that is there for a moment only. */
const PROBE_LINK = 'submariner-esp';
const PROBE_IF_ID = 0x5375_62ff;

/** Whether the kernel can encrypt, and if not, in whose words. */
export interface EspSupport {
  readonly kernel: boolean;
  readonly reason: string;
}

/** Makes something that is to be removed again; why the kernel refuses, undefined when it does not or had it. */
async function attempt(runner: CommandRunner, words: readonly string[]): Promise<string | undefined> {
  try {
    await runner.run('ip', words);
  } catch (error) {
    // Without an answer of the kernel nothing is decided: another one would end the tunnels that are there.
    if (!(error instanceof CommandError) || error.exitCode === undefined) throw error;
    if (!error.stderr.includes('File exists')) return describeFailure(error);
  }
  return undefined;
}

/**
 * Finds out by making and removing an SA that no packet can match, AES-GCM as charon would install it, and an xfrm link
 * (Linux 4.19): without such links the policies of two gateways of one cluster would be the same.
 */
export async function probeKernelEsp(runner: CommandRunner): Promise<EspSupport> {
  const key = `0x${'5a'.repeat(20)}`;
  const sa = ['xfrm', 'state', 'add', ...PROBE, 'mode', 'tunnel', 'aead', 'rfc4106(gcm(aes))', key, '128'];
  const noEsp = await attempt(runner, sa);
  if (noEsp !== undefined) return { kernel: false, reason: noEsp };
  await runner.run('ip', ['xfrm', 'state', 'delete', ...PROBE]);
  const noLink = await attempt(runner, ['link', 'add', PROBE_LINK, 'type', 'xfrm', 'if_id', String(PROBE_IF_ID)]);
  if (noLink !== undefined) return { kernel: false, reason: `it has ESP, but no xfrm links: ${noLink}` };
  await runner.run('ip', ['link', 'del', PROBE_LINK]);
  return { kernel: true, reason: 'the kernel has ESP with AES-GCM and xfrm links' };
}
