import { ExpectedError } from '../runtime/errors.ts';
import { answerOf, readBatch } from './batch.ts';
import { lookOnce, type CommandRunner } from './command.ts';
import { parseJsonList, parseLinks, type ObservedLink } from './ip.ts';

/** All links of this node with their addresses; what was seen of them last may do where the kernel is watched. */
export function observeLinks(runner: CommandRunner, signal?: AbortSignal): Promise<readonly ObservedLink[]> {
  return lookOnce(runner, ['link'], 'links', async () => {
    const [outcome] = await readBatch(runner, [['addr', 'show']], signal);
    return parseLinks(answerOf(outcome, 'addr show'));
  });
}

/** The link that holds an address of this node. */
export async function observeUnderlay(
  runner: CommandRunner,
  address: string,
  signal?: AbortSignal,
): Promise<{ readonly link: string; readonly mtuBytes: number }> {
  const holds = (link: ObservedLink): boolean => link.addresses.some((text) => text.split('/')[0] === address);
  const found = (await observeLinks(runner, signal)).find(holds);
  if (found === undefined) {
    throw new ExpectedError(`no link of this node has the address ${address}`, {
      hint: 'The private IP of this gateway changed, or SUBMARINER_INTERFACE names another link; see `ip addr`.',
    });
  }
  return { link: found.name, mtuBytes: found.mtuBytes };
}

/** The first hop to an address: link, and the router when there is one. */
export async function observeFirstHop(
  runner: CommandRunner,
  address: string,
  signal?: AbortSignal,
): Promise<{ readonly link: string; readonly via?: string } | undefined> {
  const options = { okExitCodes: [0, 2], ...(signal === undefined ? {} : { signal }) };
  const { stdout } = await runner.run('ip', ['-j', '-4', 'route', 'get', address], options);
  const [route] = parseJsonList(stdout, 'ip -j route get');
  const link = route?.['dev'];
  const via = route?.['gateway'];
  if (typeof link !== 'string') return undefined;
  return typeof via === 'string' ? { link, via } : { link };
}
