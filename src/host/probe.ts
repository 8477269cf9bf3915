import { describeFailure, type CommandRunner } from './command.ts';
import { parsePingLine } from './ping.ts';

/** What one echo request gave: the round-trip time, or why there was no answer. */
export type ProbeResult = { readonly rttMs: number } | { readonly failure: string };

/** Sends one ICMP echo request and waits at most a second; never rejects. */
export async function probeOnce(
  runner: CommandRunner,
  target: { readonly address: string; readonly source?: string },
  signal?: AbortSignal,
): Promise<ProbeResult> {
  const from = target.source === undefined ? [] : ['-I', target.source];
  const args = ['-n', '-c', '1', '-W', '1', ...from, target.address];
  const options = { okExitCodes: [0, 1, 2], timeoutMs: 5000, ...(signal === undefined ? {} : { signal }) };
  try {
    const { stdout, stderr } = await runner.run('ping', args, options);
    const lines = `${stdout}\n${stderr}`.split('\n').map((line) => parsePingLine(line));
    const reply = lines.find((line) => line !== undefined && 'rttMs' in line);
    return reply ?? lines.find((line) => line !== undefined) ?? { failure: 'no reply within 1 s' };
  } catch (error) {
    return { failure: describeFailure(error) };
  }
}
