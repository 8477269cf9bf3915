import { readConfig } from './config.ts';
import { readEndpointsAddress, type EndpointsAddress } from './endpoints.ts';
import { ExpectedError, exitCodeOf, messageOf } from './errors.ts';
import type { Environment } from './process.ts';

const ANSWER_MS = 17_000;
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::', '']);

/** The body of a page of the daemon on this machine; rejects with ExpectedError. */
export async function askEndpoint({ host, port }: EndpointsAddress, page: string): Promise<string> {
  const { request } = await import('node:http');
  const target = { host: WILDCARDS.has(host) ? '127.0.0.1' : host, port, path: page, agent: false as const };
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(
        new ExpectedError(`http://${target.host}:${port}${page}: ${why}`, {
          hint: 'The log of the daemon says whether it serves its state.',
        }),
      );
    const call = request({ ...target, timeout: ANSWER_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.on('error', (error) => fail(messageOf(error)));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else fail(`${response.statusCode}: ${body.trim()}`);
      });
    });
    call.once('timeout', () => call.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)));
    call.once('error', (error) => fail(messageOf(error)));
    call.end();
  });
}

/** What `--debug-state` does: prints the state of the daemon that runs on this machine, or says why not (exit code 1). */
export async function printDebugState(defaultPort: number, env: Environment = process.env): Promise<void> {
  try {
    const address = readConfig(env, (read) => readEndpointsAddress(read, defaultPort));
    if (address === undefined) throw new ExpectedError('the daemon serves no state: SUBMARINER_METRICSPORT is 0');
    process.stdout.write(await askEndpoint(address, '/debug/state'));
  } catch (error) {
    process.stderr.write(`Error: ${messageOf(error)}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
