import { CommandError, describeFailure, type CommandRunner } from './command.ts';

/** Addresses of RFC 5737 (TEST-NET-1): the throw-away SA can match no packet. */
const PROBE = ['src', '192.0.2.1', 'dst', '192.0.2.2', 'proto', 'esp', 'spi', '0x5375626d'] as const;

/** Whether the kernel can encrypt, and if not, in whose words. */
export interface EspSupport {
  readonly kernel: boolean;
  readonly reason: string;
}

/** Finds out by making and removing an SA that no packet can match: AES-GCM as charon would install it. */
export async function probeKernelEsp(runner: CommandRunner): Promise<EspSupport> {
  const key = `0x${'5a'.repeat(20)}`;
  const add = ['xfrm', 'state', 'add', ...PROBE, 'mode', 'tunnel', 'aead', 'rfc4106(gcm(aes))', key, '128'];
  try {
    await runner.run('ip', add);
  } catch (error) {
    const existed = error instanceof CommandError && error.stderr.includes('File exists');
    if (!existed) return { kernel: false, reason: describeFailure(error) };
  }
  await runner.run('ip', ['xfrm', 'state', 'delete', ...PROBE]);
  return { kernel: true, reason: 'the kernel has ESP with AES-GCM' };
}
